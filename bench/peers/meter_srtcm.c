/* Peer of the metering kernel: DPDK's srTCM (RFC 2697), counters and a quota in one cache line per SIM, with
 * software prefetch. How it is called: meter_frame.h. */
#include <stddef.h>
#include <stdint.h>

#include <rte_meter.h>

#include "meter_packet.h"

struct sim {
    struct rte_meter_srtcm meter; /* 24 bytes: time, committed and excess tokens */
    uint64_t quota_bytes;
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped_packets;
    uint64_t dropped_bytes;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sim) == 64, "one cache line");

static struct rte_meter_srtcm_profile profile;

static void start(struct sim *sim)
{
    profile.cir_bytes_per_period = bytes_per_period();
    profile.cir_period = period();
    profile.cbs = profile.ebs = BURST_BYTES;
    sim->meter.tc = sim->meter.te = BURST_BYTES;
    sim->quota_bytes = (uint64_t)1 << 50;
}

static void meter(struct sim *sims, const struct packet *packets, uint8_t *verdicts, size_t n, size_t ahead)
{
    for (size_t k = 0; k < n; k++) {
        if (k + ahead < n)
            __builtin_prefetch(&sims[packets[k + ahead].sim], 1, 3);
        struct sim *sim = &sims[packets[k].sim];
        uint32_t length = packets[k].length;
        enum rte_color color =
            rte_meter_srtcm_color_blind_check(&sim->meter, &profile, packets[k].time_ns, length);
        if (color != RTE_COLOR_RED && sim->quota_bytes >= length) {
            sim->quota_bytes -= length;
            sim->packets += 1;
            sim->bytes += length;
            verdicts[k] = 1;
        } else {
            sim->dropped_packets += 1;
            sim->dropped_bytes += length;
            verdicts[k] = 0;
        }
    }
}

#include "meter_frame.h"
