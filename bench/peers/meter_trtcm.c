/* Peer of the metering kernel: DPDK's trTCM (RFC 2698), counters and a quota in one cache line per SIM, with
 * software prefetch. Its state is larger than srTCM's, so what is dropped is one number: packets above 40 bits
 * of bytes. Peak and committed rate are the same. How it is called: meter_frame.h. */
#include <stddef.h>
#include <stdint.h>

#include <rte_meter.h>

#include "meter_packet.h"

struct sim {
    struct rte_meter_trtcm meter; /* 32 bytes: two times, committed and peak tokens */
    uint64_t quota_bytes;
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sim) == 64, "one cache line");

static struct rte_meter_trtcm_profile profile;

static void start(struct sim *sim)
{
    profile.cir_bytes_per_period = profile.pir_bytes_per_period = bytes_per_period();
    profile.cir_period = profile.pir_period = period();
    profile.cbs = profile.pbs = BURST_BYTES;
    sim->meter.tc = sim->meter.tp = BURST_BYTES;
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
            rte_meter_trtcm_color_blind_check(&sim->meter, &profile, packets[k].time_ns, length);
        if (color != RTE_COLOR_RED && sim->quota_bytes >= length) {
            sim->quota_bytes -= length;
            sim->packets += 1;
            sim->bytes += length;
            verdicts[k] = 1;
        } else {
            sim->dropped += (uint64_t)1 << 40 | length;
            verdicts[k] = 0;
        }
    }
}

#include "meter_frame.h"
