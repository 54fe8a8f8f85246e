#!/bin/sh
# Builds the peers into bench/build/; says which are left out, and what they need.
set -u
cd "$(dirname "$0")" || exit 1
mkdir -p build
cc=${CC:-cc}
optimize='-std=gnu11 -O3 -Wall -Wextra'

if ! command -v "$cc" >/dev/null; then
    echo "bench: no C compiler ($cc): no peers are built (Debian: apt-get install gcc libc6-dev)" >&2
    exit 0
fi

build() { # NAME CFLAGS LIBS
    target=build/$1
    if [ "$target" -nt "peers/$1.c" ] && [ "$target" -nt peers/peer.h ]; then return 0; fi
    # shellcheck disable=SC2086  # flags are words
    "$cc" $optimize $2 -march=native "peers/$1.c" -o "$target" $3 || {
        rm -f "$target"
        echo "bench: $1 does not build: left out" >&2
    }
}

has_header() { printf '#include <%s>\n' "$1" | "$cc" -E - >/dev/null 2>&1; }

build file_read '' ''
if has_header pcap/pcap.h; then
    build pcap_read '' -lpcap
    build pcap_gtp '' -lpcap
else
    echo "bench: no libpcap headers: pcap_read and pcap_gtp left out (apt-get install libpcap-dev)" >&2
fi
if pkg-config --exists libdpdk 2>/dev/null; then
    # The meter's functions are inline in the header: nothing of DPDK is linked or started.
    build meter_peer "$(pkg-config --cflags libdpdk)" ''
else
    echo "bench: no DPDK headers: meter_peer left out (apt-get install libdpdk-dev pkg-config)" >&2
fi
