/* Colours that DPDK's rte_meter gives: what the policer is compared with (tests/property/test_marker_peer.py).
 *
 *   meter_colours srtcm CIR CBS EBS        byte/s, bytes, bytes (RFC 2697)
 *   meter_colours trtcm CIR PIR CBS PBS    byte/s, byte/s, bytes, bytes (RFC 2698)
 *       reads packets, each two 64-bit integers (time in ns, bytes), and writes a byte each: 0 green,
 *       1 yellow, 2 red. The buckets are full at the time of the first packet.
 *   meter_colours clocks
 *       reads rates, each a 64-bit integer (byte/s), and writes two 64-bit integers each: the period in ns
 *       and the bytes that are added once a period.
 *
 * The profiles are made by rte_meter itself. It asks rte_get_tsc_hz() how fast time goes; EAL, which would
 * answer with this machine's counter, is not linked: here a tick is a ns. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_meter.h>

struct packet {
    uint64_t time_ns;
    uint64_t bytes;
};

uint64_t rte_get_tsc_hz(void)
{
    return 1000000000;
}

static int refuse(const char *why)
{
    fprintf(stderr, "meter_colours: %s\n", why);
    return 1;
}

static int single_rate(const uint64_t *set)
{
    struct rte_meter_srtcm_params wanted = {.cir = set[0], .cbs = set[1], .ebs = set[2]};
    struct rte_meter_srtcm_profile profile;
    struct rte_meter_srtcm meter;
    struct packet packet;
    if (rte_meter_srtcm_profile_config(&profile, &wanted) || rte_meter_srtcm_config(&meter, &profile))
        return refuse("rte_meter refuses these settings");
    for (int first = 1; fread(&packet, sizeof packet, 1, stdin) == 1; first = 0) {
        if (first)
            meter.time = packet.time_ns;
        putchar(rte_meter_srtcm_color_blind_check(&meter, &profile, packet.time_ns,
                                                  (uint32_t)packet.bytes));
    }
    return 0;
}

static int two_rates(const uint64_t *set)
{
    struct rte_meter_trtcm_params wanted = {
        .cir = set[0], .pir = set[1], .cbs = set[2], .pbs = set[3]};
    struct rte_meter_trtcm_profile profile;
    struct rte_meter_trtcm meter;
    struct packet packet;
    if (rte_meter_trtcm_profile_config(&profile, &wanted) || rte_meter_trtcm_config(&meter, &profile))
        return refuse("rte_meter refuses these settings");
    for (int first = 1; fread(&packet, sizeof packet, 1, stdin) == 1; first = 0) {
        if (first)
            meter.time_tc = meter.time_tp = packet.time_ns;
        putchar(rte_meter_trtcm_color_blind_check(&meter, &profile, packet.time_ns,
                                                  (uint32_t)packet.bytes));
    }
    return 0;
}

static int clocks(void)
{
    uint64_t rate;
    while (fread(&rate, sizeof rate, 1, stdin) == 1) {
        struct rte_meter_srtcm_params wanted = {.cir = rate, .cbs = 1, .ebs = 0};
        struct rte_meter_srtcm_profile profile;
        if (rte_meter_srtcm_profile_config(&profile, &wanted))
            return refuse("rte_meter refuses this rate");
        uint64_t clock[] = {profile.cir_period, profile.cir_bytes_per_period};
        fwrite(clock, sizeof clock, 1, stdout);
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t set[4] = {0};
    for (int k = 2; k < argc && k < 6; k++)
        set[k - 2] = strtoull(argv[k], NULL, 10);
    if (argc == 5 && !strcmp(argv[1], "srtcm"))
        return single_rate(set);
    if (argc == 6 && !strcmp(argv[1], "trtcm"))
        return two_rates(set);
    if (argc == 2 && !strcmp(argv[1], "clocks"))
        return clocks();
    return refuse("usage: meter_colours srtcm CIR CBS EBS | trtcm CIR PIR CBS PBS | clocks");
}
