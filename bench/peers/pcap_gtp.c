/* Peer of the replay: libpcap, a look into GTP-U, and a count of packets and inner bytes per TEID.
 * Usage: pcap_gtp FILE ROUNDS. Ethernet, IPv4 outside, IPv4 or IPv6 inside. */
#include "peer.h"

#include <pcap/pcap.h>

enum { SLOTS = 1 << 20 };

struct tunnel {
    uint32_t teid;
    uint32_t packets;
    uint64_t bytes;
};

struct work {
    struct tunnel *tunnels;
    uint64_t frames, packets, bytes;
};

static uint32_t get16(const u_char *p)
{
    return (uint32_t)p[0] << 8 | p[1];
}

static uint32_t get32(const u_char *p)
{
    return get16(p) << 16 | get16(p + 2);
}

/* Offset of the inner packet, or 0 if this is no G-PDU. */
static uint32_t inner_offset(const u_char *p, uint32_t caplen, uint32_t *teid)
{
    if (caplen < 14 + 20 + 8 + 8 || get16(p + 12) != 0x0800 || p[14] >> 4 != 4 || p[23] != 17)
        return 0;
    uint32_t at = 14 + 4 * (p[14] & 15u);
    if (caplen < at + 16 || get16(p + at + 2) != 2152)
        return 0;
    at += 8;
    if ((p[at] & 0xf0) != 0x30 || p[at + 1] != 255)
        return 0;
    uint32_t flags = p[at] & 7u;
    *teid = get32(p + at + 4);
    at += 8;
    if (!flags)
        return at;
    if (caplen < at + 4)
        return 0;
    uint32_t next = flags & 4 ? p[at + 3] : 0;
    at += 4;
    while (next) {
        if (caplen < at + 4 || p[at] == 0 || caplen < at + 4u * p[at])
            return 0;
        uint32_t length = 4u * p[at];
        next = p[at + length - 1];
        at += length;
    }
    return at;
}

static void count(struct work *work, uint32_t teid, uint32_t bytes)
{
    uint32_t slot = (teid * 2654435769u) >> 12;
    struct tunnel *tunnels = work->tunnels;
    while (tunnels[slot].packets && tunnels[slot].teid != teid)
        slot = (slot + 1) & (SLOTS - 1);
    tunnels[slot].teid = teid;
    tunnels[slot].packets++;
    tunnels[slot].bytes += bytes;
    work->packets++;
    work->bytes += bytes;
}

static void each(u_char *user, const struct pcap_pkthdr *header, const u_char *p)
{
    struct work *work = (struct work *)user;
    uint32_t teid = 0, at = inner_offset(p, header->caplen, &teid);
    work->frames++;
    if (!at || header->caplen < at + 20)
        return;
    if (p[at] >> 4 == 4)
        count(work, teid, get16(p + at + 2));
    else if (p[at] >> 4 == 6)
        count(work, teid, get16(p + at + 4) + 40);
}

int main(int argc, char **argv)
{
    char error[PCAP_ERRBUF_SIZE];
    if (argc != 3)
        fail(argv[0], "usage: pcap_gtp FILE ROUNDS");
    long rounds = strtol(argv[2], NULL, 10);
    struct work work = {table(SLOTS * sizeof(struct tunnel)), 0, 0, 0};
    for (long done = 0; next_round(rounds, done); done++) {
        memset(work.tunnels, 0, SLOTS * sizeof(struct tunnel));
        work.frames = work.packets = work.bytes = 0;
        double begin = now_ns();
        pcap_t *capture = pcap_open_offline(argv[1], error);
        if (!capture)
            fail(argv[1], error);
        while (pcap_dispatch(capture, -1, each, (u_char *)&work) > 0)
            ;
        pcap_close(capture);
        double took = now_ns() - begin;
        if (work.frames == 0)
            fail(argv[1], "no packets");
        answer(took / (double)work.frames, work.packets, work.bytes);
    }
    return 0;
}
