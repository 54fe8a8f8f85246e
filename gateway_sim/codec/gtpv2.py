"""GTPv2-C messages of an S-GW, on S5/S8, by scapy (TS 29.274)."""

from typing import Any

from gateway_sim.codec.options import protocols
from gateway_sim.signalling.control import TYPES, Fill, Kind, Shape
from gateway_sim.signalling.terminal import EUTRAN, IPV4, IPV6

SGW_USER, SGW_CONTROL = 4, 6
"""interface types of an F-TEID on S5/S8 (8.22)"""
TRACKING_AREA, CELL = 0x0001, 0x0000101
LOCATION_AREA, ROUTING_AREA, SERVICE_AREA = 0x0001, 0x01FF, 0x0001
"""where all terminals are; the second octet of a routing area code is all ones (8.21.3)"""
JST_QUARTERS = 0x63
"""UTC+9 in quarters of an hour, half octets swapped (8.44, TS 24.008 10.5.3.8)"""
QCI, PRIORITY = 9, 15
"""the default bearer: non-GBR, of the lowest priority, not to pre-empt others (8.15)"""
ACCEPTED = 16


def build(shape: Shape, fill: Fill) -> bytes:
    """The message as octets, all of it by scapy."""
    from scapy.contrib.gtp_v2 import GTPHeader, GTPV2Command

    body = GTPV2Command(IE_list=_ELEMENTS[shape.kind](shape, fill))
    tunnelled = shape.kind not in (Kind.ECHO_REQUEST, Kind.ECHO_RESPONSE, Kind.NOT_SUPPORTED)
    header = GTPHeader(
        P=0,
        T=int(tunnelled),
        gtp_type=TYPES[2][shape.kind],
        teid=fill.teid,
        seq=fill.sequence,  # scapy's own is drawn at random at each look
    )
    header.length = len(bytes(body)) + (8 if tunnelled else 4)
    return bytes(header) + bytes(body)


def _recovery(shape: Shape, fill: Fill) -> list[Any]:
    from scapy.contrib.gtp_v2 import IE_RecoveryRestart

    return [IE_RecoveryRestart(restart_counter=shape.restarts)]


def _nothing(shape: Shape, fill: Fill) -> list[Any]:
    return []


def _create(shape: Shape, fill: Fill) -> list[Any]:
    """Create Session Request (7.2.1)."""
    from scapy.contrib import gtp_v2 as v2

    chap = (fill.challenge, fill.response)
    elements = [v2.IE_IMSI(IMSI=fill.imsi)]
    if fill.msisdn:
        elements.append(v2.IE_MSISDN(digits=fill.msisdn))
    if fill.imei:
        elements.append(v2.IE_MEI(MEI=fill.imei))
    asked = protocols(shape.credentials, shape.pdn_type, chap)
    # scapy leaves out an AMBR's unit as the standard does: kbit/s (8.7)
    return [
        *elements,
        *_where(shape),
        _fteid(SGW_CONTROL, 0, fill.teid_control, shape.address),
        v2.IE_APN(APN=shape.apn),
        v2.IE_SelectionMode(SelectionMode=0),
        v2.IE_PDN_type(PDN_type=shape.pdn_type),
        _any_address(shape.pdn_type),
        v2.IE_APN_Restriction(APN_Restriction=0),
        v2.IE_AMBR(AMBR_Uplink=shape.ambr_kbps[0], AMBR_Downlink=shape.ambr_kbps[1]),
        v2.IE_PCO(Extension=1, PPP=0, Protocols=asked),
        _bearer(shape, [_fteid(SGW_USER, 2, fill.teid_user, shape.user_address), _qos()]),
        *_recovery(shape, fill),
        v2.IE_UE_Timezone(Timezone=JST_QUARTERS, DST=0),
        v2.IE_ChargingCharacteristics(ChargingCharacteristic=0x0800),
    ]


def _modify(shape: Shape, fill: Fill) -> list[Any]:
    """Modify Bearer Request to the P-GW, of an S-GW that is new or has new TEIDs (7.2.7)."""
    user = _fteid(SGW_USER, 1, fill.teid_user, shape.user_address)
    return [
        *_where(shape),
        _fteid(SGW_CONTROL, 0, fill.teid_control, shape.address),
        _bearer(shape, [user]),
        *_recovery(shape, fill),
    ]


def _delete(shape: Shape, fill: Fill) -> list[Any]:
    """Delete Session Request (7.2.9.1)."""
    from scapy.contrib.gtp_v2 import IE_EPSBearerID

    return [IE_EPSBearerID(EBI=shape.bearer_id), _location(shape)]


def _deleted(shape: Shape, fill: Fill) -> list[Any]:
    """Delete Bearer Response for the whole session (7.2.10.2)."""
    from scapy.contrib.gtp_v2 import IE_Cause, IE_EPSBearerID

    linked = [IE_EPSBearerID(EBI=shape.bearer_id)] if shape.cause == ACCEPTED else []
    return [IE_Cause(Cause=shape.cause), *linked, *_recovery(shape, fill)]


_ELEMENTS = {
    Kind.ECHO_REQUEST: _recovery,
    Kind.ECHO_RESPONSE: _recovery,
    Kind.NOT_SUPPORTED: _nothing,
    Kind.CREATE_REQUEST: _create,
    Kind.MODIFY_REQUEST: _modify,
    Kind.DELETE_REQUEST: _delete,
    Kind.DELETE_BEARER_RESPONSE: _deleted,
}


def _area(shape: Shape) -> dict[str, str]:
    """MCC and MNC as scapy packs them: a third digit of the MNC stands with the MCC (8.18)."""
    mcc, mnc = shape.network
    return {"MCC": mcc + mnc[2:], "MNC": mnc[:2]}


def _where(shape: Shape) -> list[Any]:
    """User location, serving network and RAT type."""
    from scapy.contrib.gtp_v2 import IE_RAT, IE_ServingNetwork

    network = IE_ServingNetwork(**_area(shape))
    return [_location(shape), network, IE_RAT(RAT_type=shape.rat)]


def _location(shape: Shape) -> Any:
    """TAI and ECGI in E-UTRAN, else SAI and RAI."""
    from scapy.contrib.gtp_v2 import IE_ULI, ULI_ECGI, ULI_RAI, ULI_SAI, ULI_TAI

    area = _area(shape)
    if shape.rat == EUTRAN:
        tai, ecgi = ULI_TAI(**area, TAC=TRACKING_AREA), ULI_ECGI(**area, ECI=CELL)
        return IE_ULI(TAI_Present=1, ECGI_Present=1, TAI=tai, ECGI=ecgi)
    rai = ULI_RAI(**area, LAC=LOCATION_AREA, RAC=ROUTING_AREA)
    sai = ULI_SAI(**area, LAC=LOCATION_AREA, SAC=SERVICE_AREA)
    return IE_ULI(SAI_Present=1, RAI_Present=1, SAI=sai, RAI=rai)


def _fteid(interface: int, instance: int, teid: int, address: str) -> Any:
    from scapy.contrib.gtp_v2 import IE_FTEID

    return IE_FTEID(
        instance=instance, ipv4_present=1, InterfaceType=interface, GRE_Key=teid, ipv4=address
    )


def _any_address(pdn_type: int) -> Any:
    """A PAA of zeros: the gateway is to choose (8.14)."""
    from scapy.contrib.gtp_v2 import IE_PAA

    given: dict[str, Any] = {"PDN_type": pdn_type}
    if pdn_type != IPV6:
        given["ipv4"] = "0.0.0.0"
    if pdn_type != IPV4:
        given |= {"ipv6_prefix_length": 0, "ipv6": 0}
    return IE_PAA(**given)


def _bearer(shape: Shape, more: list[Any]) -> Any:
    from scapy.contrib.gtp_v2 import IE_BearerContext, IE_EPSBearerID

    return IE_BearerContext(IE_list=[IE_EPSBearerID(EBI=shape.bearer_id), *more])


def _qos() -> Any:
    """Rates are for bearers with a guaranteed one (8.15): zero here; the AMBR has the limit."""
    from scapy.contrib.gtp_v2 import IE_Bearer_QoS

    return IE_Bearer_QoS(PCI=1, PriorityLevel=PRIORITY, PVI=0, QCI=QCI)
