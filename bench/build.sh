#!/bin/sh
# Builds the peers, or those that are named, into bench/build/ or another folder: build.sh [-o FOLDER] [NAME...]
# Says which are left out, and what they need.
set -u
folder=build
if [ "${1:-}" = -o ]; then
    case $2 in /*) folder=$2 ;; *) folder=$PWD/$2 ;; esac
    shift 2
fi
cd "$(dirname "$0")" || exit 1
mkdir -p "$folder"
wanted=$*
cc=${CC:-cc}
optimize='-std=gnu11 -O3 -Wall -Wextra'

if ! command -v "$cc" >/dev/null; then
    echo "bench: no C compiler ($cc): no peers are built (Debian: apt-get install gcc libc6-dev)" >&2
    exit 0
fi

build() { # NAME CFLAGS LIBS
    case " ${wanted:-$1} " in *" $1 "*) ;; *) return 0 ;; esac
    target=$folder/$1
    newer=$(find "peers/$1.c" peers/*.h build.sh -newer "$target" 2>/dev/null || echo all)
    if [ -e "$target" ] && [ -z "$newer" ]; then return 0; fi
    # shellcheck disable=SC2086  # flags are words
    if "$cc" $optimize $2 -march=native "peers/$1.c" -o "$target.$$" $3; then
        mv -f "$target.$$" "$target" # at once: another build may be going on
    else
        rm -f "$target" "$target.$$"
        echo "bench: $1 does not build: left out" >&2
    fi
}

has_header() { printf '#include <%s>\n' "$1" | "$cc" -E - >/dev/null 2>&1; }

build file_read '' ''
build meter_count -D_GNU_SOURCE -pthread
build live_blast '' -pthread
build live_floor '' ''
if has_header pcap/pcap.h; then
    build pcap_read '' -lpcap
    build pcap_gtp '' -lpcap
else
    echo "bench: no libpcap headers: pcap_read and pcap_gtp left out (apt-get install libpcap-dev)" >&2
fi
if pkg-config --exists libdpdk 2>/dev/null; then
    # The meters' functions are inline in the header: nothing of DPDK is linked or started.
    build meter_srtcm "-D_GNU_SOURCE $(pkg-config --cflags libdpdk)" -pthread
    build meter_trtcm "-D_GNU_SOURCE $(pkg-config --cflags libdpdk)" -pthread
    # Its profiles are made in the library, of which one object is linked in.
    build meter_colours "$(pkg-config --cflags libdpdk)" '-l:librte_meter.a -lm'
    build meter_rate "$(pkg-config --cflags libdpdk)" '-l:librte_meter.a -lm'
else
    dpdk='meter_srtcm, meter_trtcm, meter_colours and meter_rate'
    echo "bench: no DPDK headers: $dpdk left out (apt-get install libdpdk-dev pkg-config)" >&2
fi
