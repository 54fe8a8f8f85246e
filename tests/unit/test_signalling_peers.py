"""GTP-C that other programs write, read strictly: sgsnemu of osmo-ggsn, and scapy on the serving side."""

import pytest

from engine.signalling.codec import decode
from engine.signalling.messages import (
    GN_SGSN_C,
    GN_SGSN_U,
    S5_SGW_C,
    S5_SGW_U,
    Bearer,
    Chap,
    Fteid,
    Message,
    Options,
    Pap,
)
from engine.signalling.messages import Kind as Read
from gateway_sim.codec.answers import Answer, Given
from gateway_sim.codec.answers import stamp as answer
from gateway_sim.signalling.control import Fill, Kind, Shape
from gateway_sim.signalling.stamped import build, stamp
from gateway_sim.signalling.terminal import CHAP, EUTRAN, PAP, UTRAN, Credentials

NODE = "127.0.0.2"
FILL = Fill(
    sequence=0x1234,
    teid=0x3000,
    teid_control=0x1000,
    teid_user=0x2000,
    imsi="440101234567890",
    msisdn="819012345678",
    imei="3569380356438091",
    challenge=bytes(range(16)),
    response=bytes(range(16, 32)),
)
READ = {
    Kind.ECHO_REQUEST: Read.ECHO_REQUEST,
    Kind.ECHO_RESPONSE: Read.ECHO_RESPONSE,
    Kind.NOT_SUPPORTED: Read.VERSION_NOT_SUPPORTED,
    Kind.CREATE_REQUEST: Read.CREATE_REQUEST,
    Kind.MODIFY_REQUEST: Read.MODIFY_REQUEST,
    Kind.DELETE_REQUEST: Read.DELETE_REQUEST,
    Kind.DELETE_RESPONSE: Read.DELETE_RESPONSE,
    Kind.DELETE_BEARER_RESPONSE: Read.DELETE_BEARER_RESPONSE,
}
SENT = [
    *((version, kind) for version in (1, 2) for kind in list(READ)[:6]),
    (1, Kind.DELETE_RESPONSE),
    (2, Kind.DELETE_BEARER_RESPONSE),
]


def shape(version: int, kind: Kind, credentials: str = PAP) -> Shape:
    return Shape(
        version,
        kind,
        NODE,
        NODE,
        restarts=3,
        apn="iijmio.jp",
        rat=EUTRAN if version == 2 else UTRAN,
        credentials=Credentials(credentials),
        cause={1: 128, 2: 16}[version] if "response" in kind else 0,
    )


@pytest.mark.parametrize(("version", "kind"), SENT)
def test_each_message_of_the_serving_side_is_read_strictly(version: int, kind: Kind) -> None:
    """N1, N4"""
    message = decode(stamp(shape(version, kind), FILL))
    assert (message.version, message.kind) == (version, READ[kind])
    assert message.sequence == 0x1234
    assert message == decode(build(shape(version, kind), FILL))
    if "response" in kind and kind is not Kind.ECHO_RESPONSE:
        assert message.cause == {1: 128, 2: 16}[version]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("credentials", [PAP, CHAP])
def test_an_attach_is_read_with_all_that_it_says(version: int, credentials: str) -> None:
    """N1, N4, N5, N6"""
    message = decode(stamp(shape(version, Kind.CREATE_REQUEST, credentials), FILL))
    assert (message.imsi, message.msisdn) == (FILL.imsi, FILL.msisdn)
    assert (message.apn, message.network) == ("iijmio.jp", ("440", "10"))
    assert (message.rat, message.pdn_type) == (EUTRAN if version == 2 else UTRAN, 1)
    ends = (S5_SGW_C, S5_SGW_U) if version == 2 else (GN_SGSN_C, GN_SGSN_U)
    assert message.control == Fteid(ends[0], 0x1000, NODE)
    assert message.bearers[0].bearer_id == 5
    assert message.bearers[0].fteids == (Fteid(ends[1], 0x2000, NODE),)
    if version == 2:
        assert message.ambr_kbps == (37_500, 112_500)
    check_credentials(message.options, credentials)


def check_credentials(options: Options | None, credentials: str) -> None:
    assert options is not None
    if credentials == PAP:
        assert options.pap is not None
        assert (options.pap.user, options.pap.password) == (b"mio@iij", b"iij")
        assert options.chap is None
    else:
        assert options.chap is not None
        assert options.chap == Chap(
            b"mio@iij", FILL.challenge, FILL.response, options.chap.identifier
        )
        assert options.pap is None


@pytest.mark.parametrize("version", [1, 2])
def test_an_answer_to_an_attach_is_read_with_all_that_it_says(version: int) -> None:
    """N2: as captures have it."""
    given = Given(0x1234, 0x1000, 0x3000, 0x4000, 7, bytes([10, 0, 0, 7]))
    message = decode(answer(Answer(version, Kind.CREATE_RESPONSE, NODE), given))
    assert (message.kind, message.teid) == (Read.CREATE_RESPONSE, 0x1000)
    assert message.cause == {1: 128, 2: 16}[version]
    assert (message.address4, message.pdn_type) == ("10.0.0.7", 1)
    assert message.control is not None
    assert (message.control.teid, message.control.address) == (0x3000, NODE)
    assert message.bearers[0].fteids[0].teid == 0x4000
    assert message.charging_id == 7
    assert message.options is not None
    assert message.options.dns == ("192.0.2.53",)
    assert message.options.auth_answer is not None
    assert message.options.auth_answer[0]


# Written by sgsnemu 1.9: --imsi 440101234567890 --msisdn 819012345678 -a iijmio.jp -u mio@iij -p iij
SGSNEMU_ECHO = bytes.fromhex("320100040000000004000000")
SGSNEMU_CREATE = bytes.fromhex(
    "3210006800000000040100000244101032547698f00e010f011000000001110000000114001a0800800002f121"
    "83000a0669696a6d696f026a7084001480c0231001010010076d696f4069696a0369696a8500047f00004e"
    "8500047f00004e86000791180921436587870004000b921f"
)


def test_what_sgsnemu_sends_is_read_strictly() -> None:
    """N1, N4: a QoS profile of release 97, NSAPI 0, no RAT type."""
    assert decode(SGSNEMU_ECHO) == Message(1, Read.ECHO_REQUEST, 1024, 0)
    sgsn = "127.0.0.78"
    assert decode(SGSNEMU_CREATE) == Message(
        1,
        Read.CREATE_REQUEST,
        1025,
        0,
        imsi="440101234567890",
        msisdn="819012345678",
        apn="iijmio.jp",
        pdn_type=1,
        options=Options(pap=Pap(b"mio@iij", b"iij", 1), protocols=(0xC023,)),
        control=Fteid(GN_SGSN_C, 1, sgsn),
        bearers=(Bearer(0, (Fteid(GN_SGSN_U, 1, sgsn),)),),
        recovery=1,
        selection_mode=1,
        qos=bytes.fromhex("000b921f"),
    )
