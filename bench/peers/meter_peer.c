/* Peer of the metering kernel: DPDK's srTCM (RFC 2697), counters and a quota in one cache line per SIM,
 * with software prefetch. Usage: meter_peer SIMS PACKETS AHEAD ROUNDS; a row is asked for AHEAD packets
 * before its turn. A round prints ns/packet, packets forwarded and bytes charged. The SIM of each packet
 * is drawn uniformly. Packets are made batch by batch just before they are metered, so that they are in
 * the cache, as a parser would leave them; only the metering is timed. */
#include "peer.h"

#include <rte_meter.h>

enum { SIZES = 8, BATCH = 16384 };

struct packet {
    uint64_t time_ns;
    uint32_t sim;
    uint32_t length;
};

struct sim {
    struct rte_meter_srtcm meter; /* 24 bytes: time, committed and excess tokens */
    uint64_t quota_bytes;
    uint64_t packets;
    uint64_t bytes;
    uint64_t dropped_packets;
    uint64_t dropped_bytes;
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct sim) == 64, "one cache line");

/* rte_meter_srtcm_profile_config() takes the rate of the time stamp counter from the EAL, which is not
 * started here (0 Hz). Time is handed in as ns, so the profile is filled in for 1e9 Hz, by the rule of
 * that function: the shortest whole number of bytes that takes at least 100 ticks to earn. */
static void set_profile(struct rte_meter_srtcm_profile *profile, double bytes_per_s)
{
    double period = 1e9 / bytes_per_s;
    uint64_t bytes = 1;
    if (period < 100.0)
        bytes = (uint64_t)(100.0 / period) + 1;
    profile->cir_bytes_per_period = bytes;
    profile->cir_period = (uint64_t)(1e9 * (double)bytes / bytes_per_s);
    profile->cbs = 1500000;
    profile->ebs = 1500000;
}

static uint64_t draw(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void fill(struct packet *packets, size_t n, uint32_t sims, uint64_t *now_ns_, uint64_t *seed)
{
    static const uint32_t sizes[SIZES] = {64, 64, 64, 64, 128, 576, 1080, 1400};
    for (size_t k = 0; k < n; k++) {
        uint64_t r = draw(seed);
        packets[k].time_ns = *now_ns_ += 100;
        packets[k].sim = (uint32_t)((r >> 32) * sims >> 32);
        packets[k].length = sizes[r % SIZES];
    }
}

static void meter(struct sim *sims, struct rte_meter_srtcm_profile *profile,
                  const struct packet *packets, uint8_t *verdicts, size_t n, size_t ahead)
{
    for (size_t k = 0; k < n; k++) {
        if (k + ahead < n)
            __builtin_prefetch(&sims[packets[k + ahead].sim], 1, 3);
        struct sim *sim = &sims[packets[k].sim];
        uint32_t length = packets[k].length;
        enum rte_color color =
            rte_meter_srtcm_color_blind_check(&sim->meter, profile, packets[k].time_ns, length);
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

int main(int argc, char **argv)
{
    if (argc != 5)
        fail(argv[0], "usage: meter_peer SIMS PACKETS AHEAD ROUNDS");
    size_t count = strtoull(argv[1], NULL, 10), n = strtoull(argv[2], NULL, 10);
    size_t ahead = strtoull(argv[3], NULL, 10);
    long rounds = strtol(argv[4], NULL, 10);
    struct rte_meter_srtcm_profile profile;
    set_profile(&profile, 112500000.0 / 8);
    struct sim *sims = table(count * sizeof *sims);
    struct packet *packets = table(BATCH * sizeof *packets);
    uint8_t *verdicts = table(BATCH);
    for (size_t i = 0; i < count; i++) {
        sims[i].meter.tc = sims[i].meter.te = profile.cbs;
        sims[i].quota_bytes = (uint64_t)1 << 50;
    }
    uint64_t time_ns = 0, seed = 88172645463325252ull;
    for (long done = 0; next_round(rounds, done); done++) {
        double took = 0;
        uint64_t forwarded = 0, bytes = 0;
        for (size_t first = 0; first < n; first += BATCH) {
            size_t length = n - first < BATCH ? n - first : BATCH;
            fill(packets, length, (uint32_t)count, &time_ns, &seed);
            double begin = now_ns();
            meter(sims, &profile, packets, verdicts, length, ahead);
            took += now_ns() - begin;
            for (size_t k = 0; k < length; k++) {
                forwarded += verdicts[k];
                bytes += verdicts[k] ? packets[k].length : 0;
            }
        }
        answer(took / (double)n, forwarded, bytes);
    }
    return 0;
}
