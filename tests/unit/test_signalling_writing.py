"""GTP-C as it is written: defaults, places of F-TEIDs, and what cannot be written."""

from dataclasses import replace

import pytest

from engine.errors import UsageError
from engine.signalling.codec import decode, encode
from engine.signalling.messages import (
    S5_SGW_C,
    S5_SGW_U,
    S11_SGW_C,
    Bearer,
    Chap,
    Fteid,
    Kind,
    Message,
    Options,
    Pap,
)
from tests.support.gtpc import fteid, ie2
from tests.support.signalling import CREATE1, CREATE2, CREATED1, CREATED2, TFT


def test_the_sender_of_an_answer_is_its_control_end_whatever_the_instance() -> None:
    """TS 29.274 7.2.2: the P-GW's F-TEID has instance 1 even where it is the only one."""
    alone = encode(CREATED2)
    assert decode(alone).control == CREATED2.control
    addresses = bytes.fromhex("7f000003" + "20010db8" + "00" * 11 + "03")
    assert ie2(87, fteid(7, 0x3000, 0xC0, addresses), 1) in alone
    both = replace(CREATED2, control=Fteid(S11_SGW_C, 1, "127.0.0.9"), pgw=CREATED2.control)
    assert decode(encode(both)) == both


def test_a_default_profile_is_written_where_version_1_asks_for_one() -> None:
    """TS 29.060 7.3: with a request and with its acceptance, not with a refusal."""
    assert decode(encode(replace(CREATE1, qos=None))).qos is not None
    answer = Message(1, Kind.CREATE_RESPONSE, 1, 1, cause=128)
    assert decode(encode(answer)).qos is not None
    assert decode(encode(replace(answer, cause=199))).qos is None
    assert decode(encode(replace(answer, kind=Kind.DELETE_RESPONSE))).qos is None


def test_the_address_of_one_plane_serves_the_other_where_that_is_not_told() -> None:
    user = CREATE1.bearers[0].fteids[0]
    for message in (replace(CREATE1, control=None), replace(CREATE1, bearers=(Bearer(5),))):
        read = decode(encode(message), strict=False)
        assert (read.control, read.bearers) == (message.control, message.bearers)
    assert user.address == "127.0.0.2"


def test_the_type_of_an_address_is_written_from_the_address() -> None:
    for given, pdn_type in (
        ({"address4": "10.0.0.7"}, 1),
        ({"address6": "2001:db8::/64"}, 2),
        ({"address4": "10.0.0.7", "address6": "2001:db8::/64"}, 3),
    ):
        for sample in (CREATE1, CREATE2):
            message = replace(sample, pdn_type=None, address4=None, address6=None)
            assert decode(encode(message), strict=False).pdn_type is None
            told = decode(encode(replace(message, **given)))  # type: ignore[arg-type]
            assert told.pdn_type == pdn_type


def test_a_whole_address_of_version_6_is_kept() -> None:
    message = replace(CREATE2, pdn_type=2, address6="2001:db8::5/128")
    assert decode(encode(message)).address6 == "2001:db8::5/128"


BAD_BOTH = [
    {"sequence": 1 << 24},
    {"sequence": -1},
    {"teid": 1 << 32},
    {"imsi": "44010123456789O"},
    {"imsi": "١٢٣٤٥٦٧"},
    {"msisdn": "1" * 17},
    {"apn": ""},
    {"apn": "a..b"},
    {"apn": "a" * 64},
    {"apn": ".".join(["a" * 50] * 3)},
    {"apn": "日本"},
    {"rat": 256},
    {"network": ("44", "10")},
    {"network": ("440", "1")},
    {"network": ("440", "1x")},
    {"pdn_type": 1, "address4": "10.0.0"},
    {"pdn_type": 2, "address6": "2001:db8::"},
    {"pdn_type": 2, "address6": "2001:db8::/129"},
    {"pdn_type": 2, "address6": "2001:db8::g/64"},
    {"location": b""},
    {"location": bytes(256)},
    {"options": Options(pap=Pap(bytes(256), b""))},
    {"options": Options(pap=Pap(bytes(250), b"iij"))},
    {"options": Options(pap=Pap(bytes(120), b""), chap=Chap(bytes(120), b"", b""))},
    {"options": Options(dns=("nowhere",))},
    {"charging_id": 1 << 32, "bearers": (Bearer(5),)},
    {"control": Fteid(S5_SGW_C, 1)},
    {"control": Fteid(S5_SGW_C, 1 << 32, "127.0.0.1")},
    {"control": Fteid(S5_SGW_C, 1, "localhost")},
]


@pytest.mark.parametrize("change", BAD_BOTH, ids=str)
@pytest.mark.parametrize("sample", [CREATE2, CREATE1], ids=["version 2", "version 1"])
def test_a_value_that_does_not_fit_is_not_written(
    sample: Message, change: dict[str, object]
) -> None:
    with pytest.raises(UsageError):
        encode(replace(sample, **change))  # type: ignore[arg-type]


LONG_TFT = bytes.fromhex("21 31 00 fa") + bytes(250)
END = Fteid(S5_SGW_U, 1, "127.0.0.1")


@pytest.mark.parametrize(
    "message",
    [
        replace(CREATE2, version=3),
        replace(CREATE2, control=Fteid(-1, 1, "127.0.0.1")),
        replace(CREATE2, bearers=(Bearer(5, (END, END)),)),
        replace(CREATE2, bearers=(Bearer(5, tft=b"\x21"),)),
        replace(CREATE2, bearers=(Bearer(5, qci=256),)),
        replace(CREATE2, bearers=(Bearer(5, tft=TFT * 28),) * 254),
        replace(CREATE2, bearers=(Bearer(5, tft=LONG_TFT),) * 250),
        replace(CREATED2, cause=256),
        replace(CREATED2, piggybacked=CREATE1),
        replace(CREATED2, piggybacked=replace(CREATED2, piggybacked=CREATED2)),
        replace(CREATE1, piggybacked=CREATED2),
        replace(CREATE1, sequence=1 << 16),
        replace(CREATE1, kind=Kind.CREATE_BEARER_REQUEST),
        replace(CREATE1, pdn_type=4),
        replace(CREATE1, bearers=(Bearer(16),)),
        replace(CREATE1, bearers=(Bearer(5, tft=b"\x21"),)),
        replace(CREATED1, cause=256),
    ],
    ids=range(17),
)
def test_a_message_that_its_version_does_not_have_is_not_written(message: Message) -> None:
    with pytest.raises(UsageError):
        encode(message)
