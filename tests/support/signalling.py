"""GTP-C messages for tests: one of every kind in both versions, with all that they can carry."""

from dataclasses import replace

from engine.signalling.messages import (
    EUTRAN,
    GN_GGSN_C,
    GN_GGSN_U,
    GN_SGSN_C,
    GN_SGSN_U,
    S1U_ENODEB,
    S1U_SGW,
    S5_PGW_C,
    S5_PGW_U,
    S5_SGW_C,
    S5_SGW_U,
    S11_MME_C,
    S11_SGW_C,
    UTRAN,
    Bearer,
    Chap,
    Fteid,
    Kind,
    Message,
    Options,
    Pap,
)

SGW, PGW, SGW6, PGW6 = "127.0.0.2", "127.0.0.3", "2001:db8::2", "2001:db8::3"
CONFIGURE = bytes.fromhex("01 07 0010 8106 00000000 8306 00000000")
"""IPCP: both name servers are asked for"""
ACCEPTED = bytes.fromhex("02 07 0010 8106 08080808 8306 08080404")
TFT = bytes.fromhex("21 31 00 05 30 11 50 01bb")
"""creates one filter, both ways: UDP, single remote port 443"""
ECGI = bytes.fromhex("18 44f001 0001 44f001 01079baf")
"""user location of version 2: TAI and ECGI in 440-10"""
SAI = bytes.fromhex("01 44f001 0001 0002")
"""user location of version 1: SAI in 440-10"""
QOS = bytes.fromhex("02 23921f7396fefe7403ffff00")

ASKED = Options(
    pap=Pap(b"mio@iij", b"iij", 9),
    chap=Chap(b"mio@iij", bytes(range(16)), bytes(range(16, 32)), 4),
    ipcp=CONFIGURE,
    wants_dns4=True,
    wants_dns6=True,
    protocols=(0x8021, 0xC023, 0xC223, 0xC223, 0x0003, 0x000D),
)
TOLD = Options(
    ipcp=ACCEPTED,
    dns=("8.8.8.8", "8.8.4.4", "2001:4860:4860::8888"),
    auth_answer=(True, 9, 0xC023),
    protocols=(0x8021, 0xC023, 0x000D, 0x000D, 0x0003),
)

CREATE2 = Message(
    2,
    Kind.CREATE_REQUEST,
    0x123456,
    0,
    imsi="440101234567890",
    msisdn="819012345678",
    imei="3569380356438091",
    apn="iijmio.jp",
    rat=EUTRAN,
    network=("440", "10"),
    pdn_type=3,
    options=ASKED,
    control=Fteid(S5_SGW_C, 0x1000, SGW),
    bearers=(Bearer(5, (Fteid(S5_SGW_U, 0x2000, SGW),), qci=9),),
    recovery=3,
    ambr_kbps=(37_500, 112_500),
    selection_mode=0,
    indication=bytes.fromhex("00 00 00"),
    location=ECGI,
    apn_restriction=0,
)
CREATED2 = Message(
    2,
    Kind.CREATE_RESPONSE,
    0x123456,
    0x1000,
    cause=16,
    pdn_type=3,
    address4="10.0.0.7",
    address6="2001:db8:0:7::/64",
    options=TOLD,
    control=Fteid(S5_PGW_C, 0x3000, PGW, PGW6),
    bearers=(Bearer(5, (Fteid(S5_PGW_U, 0x4000, PGW, PGW6),), cause=16, qci=9),),
    recovery=7,
    ambr_kbps=(37_500, 112_500),
    charging_id=0x0BADCAFE,
    apn_restriction=0,
)
REFUSED2 = Message(2, Kind.CREATE_RESPONSE, 0xFFFFFF, 0x1000, cause=70, offending=(71, 0))
CREATE_BEARER2 = Message(
    2,
    Kind.CREATE_BEARER_REQUEST,
    0x800001,
    0x1000,
    linked_bearer=5,
    bearers=(
        Bearer(0, (Fteid(S5_PGW_U, 0x4001, PGW),), qci=1, tft=TFT),
        Bearer(0, (Fteid(S5_PGW_U, 0x4002, PGW),), qci=5, tft=TFT),
    ),
)
CREATE1 = Message(
    1,
    Kind.CREATE_REQUEST,
    0xFFFF,
    0,
    imsi="440101234567890",
    msisdn="819012345678",
    imei="3569380356438091",
    apn="iijmio.jp",
    rat=UTRAN,
    network=("440", "10"),
    pdn_type=1,
    options=ASKED,
    control=Fteid(GN_SGSN_C, 0x1000, SGW, SGW6),
    bearers=(Bearer(5, (Fteid(GN_SGSN_U, 0x2000, SGW),)),),
    recovery=3,
    selection_mode=1,
    location=SAI,
    apn_restriction=0,
    qos=QOS,
)
CREATED1 = Message(
    1,
    Kind.CREATE_RESPONSE,
    0xFFFF,
    0x1000,
    cause=128,
    pdn_type=3,
    address4="10.0.0.7",
    address6="2001:db8:0:7::/64",
    options=TOLD,
    control=Fteid(GN_GGSN_C, 0x3000, PGW),
    bearers=(Bearer(5, (Fteid(GN_GGSN_U, 0x4000, PGW),)),),
    recovery=7,
    charging_id=0x0BADCAFE,
    qos=QOS,
)


def _bearer_messages() -> list[Message]:
    """Version 2: what a gateway begins itself, with the answers to it."""
    answered = Bearer(6, (Fteid(S5_SGW_U, 0x2001, SGW), Fteid(S5_PGW_U, 0x4001, PGW)), cause=16)
    kinds = Kind
    return [
        CREATE_BEARER2,
        Message(
            *(2, kinds.CREATE_BEARER_RESPONSE, 0x800001, 0x3000, 17),
            bearers=(answered, Bearer(7, cause=94)),
            recovery=3,
        ),
        Message(
            *(2, kinds.UPDATE_BEARER_REQUEST, 0x800002, 0x1000),
            bearers=(Bearer(6, qci=5, tft=TFT),),
            ambr_kbps=(200, 200),
        ),
        Message(
            *(2, kinds.UPDATE_BEARER_RESPONSE, 0x800002, 0x3000, 16),
            bearers=(Bearer(6, cause=16),),
        ),
        Message(2, kinds.DELETE_BEARER_REQUEST, 0x800003, 0x1000, 8, linked_bearer=5),
        Message(
            *(2, kinds.DELETE_BEARER_REQUEST, 0x800003, 0x1000),
            bearers=(Bearer(6, instance=1), Bearer(7, instance=1), Bearer(8, cause=94)),
        ),
        Message(2, kinds.DELETE_BEARER_RESPONSE, 0x800003, 0x3000, 16, linked_bearer=5),
        Message(
            *(2, kinds.DELETE_BEARER_RESPONSE, 0x800003, 0x3000, 16),
            bearers=(Bearer(6, cause=16), Bearer(7, cause=64)),
        ),
    ]


def _s11() -> list[Message]:
    """Version 2: between MME and S-GW, as captures have it."""
    return [
        replace(
            CREATE2,
            control=Fteid(S11_MME_C, 0x1001, SGW),
            pgw=Fteid(S5_PGW_C, 0, PGW, PGW6),
            bearers=(Bearer(5, (Fteid(S1U_ENODEB, 0x2002, SGW),)),),
        ),
        replace(
            CREATED2,
            control=Fteid(S11_SGW_C, 0x3001, PGW),
            pgw=Fteid(S5_PGW_C, 0x3000, PGW),
            bearers=(
                Bearer(5, (Fteid(S1U_SGW, 0x4003, PGW), Fteid(S5_PGW_U, 0x4000, PGW)), cause=16),
            ),
        ),
        replace(CREATED2, piggybacked=CREATE_BEARER2),
        Message(
            *(2, Kind.MODIFY_REQUEST, 2, 0x3001),
            bearers=(Bearer(5, (Fteid(S1U_ENODEB, 0x2003, SGW),)), Bearer(6, instance=1)),
        ),
        Message(2, Kind.RELEASE_BEARERS_REQUEST, 3, 0x3001),
        Message(2, Kind.RELEASE_BEARERS_RESPONSE, 3, 0x1001, 16, recovery=1),
    ]


def _rest2() -> list[Message]:
    return [
        Message(2, Kind.ECHO_REQUEST, 1, recovery=255),
        Message(2, Kind.ECHO_RESPONSE, 1, recovery=0),
        Message(2, Kind.VERSION_NOT_SUPPORTED, 0),
        CREATE2,
        replace(CREATE2, pdn_type=1, options=None, network=("001", "001"), rat=UTRAN),
        replace(CREATE2, pdn_type=2, address6="2001:db8:0:9::/64", imsi="440101"),
        CREATED2,
        REFUSED2,
        Message(
            *(2, Kind.MODIFY_REQUEST, 2, 0x3000),
            rat=EUTRAN,
            network=("440", "10"),
            control=Fteid(S5_SGW_C, 0x1002, ipv6=SGW6),
            bearers=(Bearer(5, (Fteid(S5_SGW_U, 0x2004, ipv6=SGW6),)),),
            recovery=4,
        ),
        Message(
            *(2, Kind.MODIFY_RESPONSE, 2, 0x1000, 16),
            msisdn="819012345678",
            bearers=(Bearer(5, (Fteid(S1U_SGW, 0x4003, PGW),), cause=16),),
            charging_id=1,
        ),
        Message(2, Kind.DELETE_REQUEST, 5, 0x3000, linked_bearer=5, location=ECGI),
        Message(2, Kind.DELETE_RESPONSE, 5, 0x1000, 64, recovery=7),
        Message(2, Kind.OTHER, 6, 0x3000, message_type=73),
    ]


def _all1() -> list[Message]:
    user = (Bearer(5, (Fteid(GN_SGSN_U, 0x2001, ipv6=SGW6),)),)
    return [
        Message(1, Kind.ECHO_REQUEST, 1, 0),
        Message(1, Kind.ECHO_RESPONSE, 1, 0, recovery=7),
        Message(1, Kind.VERSION_NOT_SUPPORTED, 0, 0),
        CREATE1,
        replace(CREATE1, pdn_type=2, address6="2001:db8:0:9::/64", linked_bearer=6, qos=QOS),
        replace(CREATE1, pdn_type=3, address4="10.0.0.9", options=None),
        CREATED1,
        Message(1, Kind.CREATE_RESPONSE, 3, 0x1000, 199, recovery=7),
        Message(
            *(1, Kind.MODIFY_REQUEST, 4, 0x3000),
            control=Fteid(GN_SGSN_C, 0x1001, ipv6=SGW6),
            bearers=user,
            rat=UTRAN,
            qos=QOS,
        ),
        Message(
            *(1, Kind.MODIFY_RESPONSE, 4, 0x1000, 128),
            control=Fteid(GN_GGSN_C, 0x3000, PGW),
            bearers=(Bearer(0, (Fteid(GN_GGSN_U, 0x4000, PGW),)),),
            charging_id=2,
            qos=QOS,
        ),
        Message(1, Kind.DELETE_REQUEST, 5, 0x3000, bearers=(Bearer(5),), teardown=True),
        Message(1, Kind.DELETE_RESPONSE, 5, 0x1000, 128),
        Message(1, Kind.OTHER, 6, 0, message_type=31),
    ]


EVERY = [*_rest2(), *_s11(), *_bearer_messages(), *_all1()]
"""every kind of both versions; encode and decode give the same again"""
