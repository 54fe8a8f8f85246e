"""GTPv1-C messages of an SGSN, on Gn, by scapy (TS 29.060).

Elements stand in ascending order of type (7.7). scapy computes their lengths as if all were those
of version 2, one octet short here, so every length is given.
"""

from typing import Any

from gateway_sim.codec.options import protocols
from gateway_sim.signalling.control import TYPES, Fill, Kind, Shape
from gateway_sim.signalling.terminal import IPV4, IPV4V6, IPV6

PDP_TYPE = {IPV4: 0x21, IPV6: 0x57, IPV4V6: 0x8D}
"""PDP type numbers of the IETF (7.7.27)"""
LOCATION_AREA, ROUTING_AREA, SERVICE_AREA = 0x0001, 0x01, 0x0001
SUBSCRIBED = 0xFC
"""selection mode 0 behind spare bits of ones: the terminal's APN, the subscription was checked (7.7.12)"""
INTERNATIONAL = 0x91
"""nature and plan of an MSISDN: international, E.164 (7.7.33)"""
JST_QUARTERS = 0x63
WHOLE = 0xFF
"""teardown indicator: all contexts of this address (7.7.16)"""
QOS_BYTES = 12


def build(shape: Shape, fill: Fill) -> bytes:
    """The message as octets, all of it by scapy."""
    from scapy.contrib.gtp import GTPHeader

    body = b"".join(bytes(element) for element in _ELEMENTS[shape.kind](shape, fill))
    header = GTPHeader(
        S=1,
        gtp_type=TYPES[1][shape.kind],
        length=len(body) + 4,  # the octets of sequence number, N-PDU number, extension type (6)
        teid=fill.teid,
        seq=fill.sequence,
    )
    return bytes(header) + body


def _recovery(shape: Shape, fill: Fill) -> list[Any]:
    from scapy.contrib.gtp import IE_Recovery

    return [IE_Recovery(restart_counter=shape.restarts)]


def _nothing(shape: Shape, fill: Fill) -> list[Any]:
    return []


def _create(shape: Shape, fill: Fill) -> list[Any]:
    """Create PDP Context Request (7.3.1)."""
    from scapy.contrib import gtp as v1

    # IMSI is of fixed size, filled with 1111 (7.7.2); scapy would fill with zeros
    elements = [
        v1.IE_IMSI(imsi=fill.imsi.ljust(16, "f")),
        _routing_area(shape),
        *_recovery(shape, fill),
        v1.IE_SelectionMode(SelectionMode=SUBSCRIBED),
        v1.IE_TEIDI(TEIDI=fill.teid_user),
        v1.IE_TEICP(TEICI=fill.teid_control),
        v1.IE_NSAPI(sparebits=0, NSAPI=shape.bearer_id),
        v1.IE_ChargingCharacteristics(
            Ch_ChSpare=0,
            normal_charging=1,
            prepaid_charging=0,
            flat_rate_charging=0,
            hot_billing_charging=0,
        ),
        v1.IE_EndUserAddress(length=2, PDPTypeNumber=PDP_TYPE[shape.pdn_type]),
        v1.IE_AccessPointName(APN=shape.apn),
        _options(shape, fill),
        v1.IE_GSNAddress(length=4, ipv4_address=shape.address),
        v1.IE_GSNAddress(length=4, ipv4_address=shape.user_address),
    ]
    if fill.msisdn:
        size = 1 + (len(fill.msisdn) + 1) // 2
        number = {"flags": INTERNATIONAL, "digits": fill.msisdn}
        elements.append(v1.IE_MSInternationalNumber(length=size, **number))
    elements += [_qos(), _rat(shape), _location(shape)]
    elements.append(v1.IE_MSTimeZone(length=2, timezone=JST_QUARTERS))
    if fill.imei:
        elements.append(v1.IE_IMEI(length=8, IMEI=fill.imei.ljust(16, "f")))
    return elements


def _modify(shape: Shape, fill: Fill) -> list[Any]:
    """Update PDP Context Request of an SGSN that is new or has new TEIDs (7.3.3)."""
    from scapy.contrib import gtp as v1

    return [
        _routing_area(shape),
        *_recovery(shape, fill),
        v1.IE_TEIDI(TEIDI=fill.teid_user),
        v1.IE_TEICP(TEICI=fill.teid_control),
        v1.IE_NSAPI(sparebits=0, NSAPI=shape.bearer_id),
        v1.IE_GSNAddress(length=4, ipv4_address=shape.address),
        v1.IE_GSNAddress(length=4, ipv4_address=shape.user_address),
        _qos(),
        _rat(shape),
        _location(shape),
    ]


def _delete(shape: Shape, fill: Fill) -> list[Any]:
    """Delete PDP Context Request (7.3.5)."""
    from scapy.contrib.gtp import IE_NSAPI, IE_Teardown

    return [IE_Teardown(indicator=WHOLE), IE_NSAPI(sparebits=0, NSAPI=shape.bearer_id)]


def _deleted(shape: Shape, fill: Fill) -> list[Any]:
    """Delete PDP Context Response (7.3.6)."""
    from scapy.contrib.gtp import IE_Cause

    return [IE_Cause(CauseValue=shape.cause)]


_ELEMENTS = {
    Kind.ECHO_REQUEST: _nothing,
    Kind.ECHO_RESPONSE: _recovery,
    Kind.NOT_SUPPORTED: _nothing,
    Kind.CREATE_REQUEST: _create,
    Kind.MODIFY_REQUEST: _modify,
    Kind.DELETE_REQUEST: _delete,
    Kind.DELETE_RESPONSE: _deleted,
}


def _area(shape: Shape) -> dict[str, str]:
    """MCC and MNC as scapy packs them: a third digit of the MNC stands with the MCC."""
    mcc, mnc = shape.network
    return {"MCC": mcc + mnc[2:], "MNC": mnc[:2]}


def _routing_area(shape: Shape) -> Any:
    from scapy.contrib.gtp import IE_Routing

    return IE_Routing(**_area(shape), LAC=LOCATION_AREA, RAC=ROUTING_AREA)


def _location(shape: Shape) -> Any:
    """The service area (7.7.51)."""
    from scapy.contrib.gtp import IE_UserLocationInformation

    area = _area(shape)
    return IE_UserLocationInformation(length=8, type=1, **area, LAC=LOCATION_AREA, SAC=SERVICE_AREA)


def _rat(shape: Shape) -> Any:
    from scapy.contrib.gtp import IE_RATType

    return IE_RATType(RAT_Type=shape.rat)


def _options(shape: Shape, fill: Fill) -> Any:
    from scapy.contrib.gtp import IE_ProtocolConfigurationOptions

    asked = protocols(shape.credentials, shape.pdn_type, (fill.challenge, fill.response))
    octets = b"\x80" + b"".join(bytes(protocol) for protocol in asked)
    return IE_ProtocolConfigurationOptions(length=len(octets), Protocol_Configuration=octets)


def _qos() -> Any:
    """Interactive class, best effort, up to 8 640 kbit/s: the largest without extensions (7.7.34)."""
    from scapy.contrib.gtp import IE_QoS

    return IE_QoS(
        length=QOS_BYTES,
        allocation_retention_prioiry=2,
        delay_class=1,
        reliability_class=3,
        peak_troughput=9,
        precedence_class=2,
        mean_troughput=31,
        traffic_class=3,
        delivery_order=2,
        delivery_of_err_sdu=3,
        max_sdu_size=0x96,
        max_bitrate_up=0xFE,
        max_bitrate_down=0xFE,
        redidual_ber=7,
        sdu_err_ratio=4,
        transfer_delay=0x3E,
        traffic_handling_prio=3,
        guaranteed_bit_rate_up=0xFF,
        guaranteed_bit_rate_down=0xFF,
    )
