/* The least that a gateway on plain sockets does with a G-PDU: it takes the header off or puts one on.
 * Usage: live_floor tun NAME GTPU PEER      recvmmsg -> write to a TUN device, and read -> sendmmsg
 *        live_floor udp SGI SGI_PEER GTPU PEER    recvmmsg -> sendmmsg, both ways
 *
 * Every address is ADDRESS:PORT. Nothing is looked up, checked, counted or limited. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

enum { BATCH = 256, ROOM = 2048, GTP = 8, BUFFER = 16 << 20 };

static uint8_t buffers[BATCH][ROOM];
static struct mmsghdr messages[BATCH];
static struct iovec vectors[BATCH];

static struct sockaddr_in parse(const char *text)
{
    struct sockaddr_in found = {.sin_family = AF_INET};
    char address[64];
    const char *colon = strrchr(text, ':');
    if (!colon || colon - text >= (long)sizeof address)
        fail("no ADDRESS:PORT", text);
    memcpy(address, text, (size_t)(colon - text));
    address[colon - text] = 0;
    found.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, address, &found.sin_addr) != 1)
        fail("no address", text);
    return found;
}

static int between(const char *here, const char *there)
{
    struct sockaddr_in from = parse(here), to = parse(there);
    int sock = socket(AF_INET, SOCK_DGRAM, 0), size = BUFFER;
    setsockopt(sock, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    if (sock < 0 || bind(sock, (struct sockaddr *)&from, sizeof from))
        fail(here, strerror(errno));
    if (connect(sock, (struct sockaddr *)&to, sizeof to))
        fail(there, strerror(errno));
    return sock;
}

static int tun(const char *name)
{
    struct ifreq asked = {.ifr_flags = IFF_TUN | IFF_NO_PI};
    int device = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    strncpy(asked.ifr_name, name, IFNAMSIZ - 1);
    if (device < 0 || ioctl(device, TUNSETIFF, &asked))
        fail(name, strerror(errno));
    return device;
}

/* Take what has come, each from `skip` bytes into its buffer on; how many. */
static int receive(int from, int is_device, unsigned skip)
{
    int got = 0;
    for (int k = 0; k < BATCH; k++)
        vectors[k] = (struct iovec){buffers[k] + skip, ROOM - skip};
    if (!is_device) {
        got = recvmmsg(from, messages, BATCH, MSG_DONTWAIT, NULL);
        return got < 0 ? 0 : got;
    }
    for (; got < BATCH; got++) {
        ssize_t length = read(from, buffers[got] + skip, ROOM - skip);
        if (length <= 0)
            break;
        messages[got].msg_len = (unsigned)length;
    }
    return got;
}

static void send_all(int to, int is_device, int got, int front)
{
    for (int k = 0; k < got; k++) {
        vectors[k].iov_base = buffers[k] + (front < 0 ? GTP : 0);
        vectors[k].iov_len = (size_t)((int)messages[k].msg_len + front);
    }
    for (int k = 0; is_device && k < got; k++)
        if (write(to, vectors[k].iov_base, vectors[k].iov_len) < 0)
            continue; /* lost, as at any gateway */
    for (int k = 0; !is_device && k < got;) {
        int went = sendmmsg(to, messages + k, (unsigned)(got - k), 0);
        k += went > 0 ? went : 1;
    }
}

static void put_headers(int got)
{
    for (int k = 0; k < got; k++) {
        unsigned length = messages[k].msg_len;
        const uint8_t head[GTP] = {0x30, 255, (uint8_t)(length >> 8), (uint8_t)length, 0, 0, 0, 1};
        memcpy(buffers[k], head, GTP);
    }
}

int main(int argc, char **argv)
{
    int is_device = argc == 5 && !strcmp(argv[1], "tun");
    if (!is_device && !(argc == 6 && !strcmp(argv[1], "udp")))
        fail("usage", "live_floor tun NAME GTPU PEER | live_floor udp SGI SGI_PEER GTPU PEER");
    int sgi = is_device ? tun(argv[2]) : between(argv[2], argv[3]);
    int user = between(argv[argc - 2], argv[argc - 1]);
    struct pollfd ready[2] = {{.fd = user, .events = POLLIN}, {.fd = sgi, .events = POLLIN}};
    for (int k = 0; k < BATCH; k++) {
        messages[k].msg_hdr.msg_iov = &vectors[k];
        messages[k].msg_hdr.msg_iovlen = 1;
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        poll(ready, 2, -1);
        if (ready[0].revents)
            send_all(sgi, is_device, receive(user, 0, 0), -GTP);
        if (ready[1].revents) {
            int got = receive(sgi, is_device, GTP);
            put_headers(got);
            send_all(user, 0, got, GTP);
        }
    }
}
