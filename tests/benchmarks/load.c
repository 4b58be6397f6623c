#define _GNU_SOURCE
/* A load generator for TCP and Unix sockets alike: keep-alive connections, one request at a time on each. One thread, epoll.
 *
 *   load PORT|PATH CONNECTIONS SECONDS < REQUEST
 *
 * REQUEST is the text of one request. Prints "requests seconds errors p50 p99", the last two in microseconds. Anything but
 * a 200 or 304 with a Content-Length (or no body) is an error.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MOST 64
#define SAMPLES (1 << 20)

struct client { int fd; double since; size_t got; long left; char head[4096]; };

static char request[4096], sink[1 << 18];
static size_t request_size;
static unsigned samples[SAMPLES];
static long answered, errors;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *why) { perror(why); exit(1); }

static int reach(const char *where)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET, .sin_port = htons(atoi(where)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, on_unix = *where == '/', fd = socket(on_unix ? AF_UNIX : AF_INET, SOCK_STREAM, 0);
    snprintf(local.sun_path, sizeof local.sun_path, "%s", where);
    if (connect(fd, on_unix ? (void *)&local : (void *)&remote, on_unix ? sizeof local : sizeof remote)) die(where);
    if (!on_unix) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return fd;
}

static void ask(struct client *client)
{
    client->since = now();
    client->got = 0;
    client->left = -1;
    if (send(client->fd, request, request_size, MSG_NOSIGNAL) != (ssize_t)request_size) die("send");
}

static void done(struct client *client)
{
    samples[answered++ % SAMPLES] = (unsigned)((now() - client->since) * 1e6);
    ask(client);
}

static void hear(struct client *client)
{
    if (client->left >= 0) {
        ssize_t n = recv(client->fd, sink, sizeof sink, 0);
        if (n <= 0) die("the server ended a connection");
        if (!(client->left -= n)) done(client);
        return;
    }
    ssize_t n = recv(client->fd, sink, sizeof sink, 0);
    if (n <= 0) die("the server ended a connection");
    size_t room = sizeof client->head - 1 - client->got, taken = (size_t)n < room ? (size_t)n : room;
    memcpy(client->head + client->got, sink, taken);
    client->head[client->got + taken] = 0;
    char *end = strstr(client->head, "\r\n\r\n"), *length = strcasestr(client->head, "\r\ncontent-length:");
    size_t before = client->got;
    client->got += taken;
    if (!end) {
        if (taken == room) die("a head that is too long");
        return;
    }
    int status = atoi(client->head + 9);
    if (status != 200 && status != 304) errors++;
    long body = status == 304 || !length || length > end ? 0 : atol(length + 17);
    client->left = body - (long)(before + n - (end + 4 - client->head));
    if (client->left < 0) die("more than was said");
    if (!client->left) done(client);
}

static int by_size(const void *a, const void *b)
{
    return *(const unsigned *)a < *(const unsigned *)b ? -1 : *(const unsigned *)a > *(const unsigned *)b;
}

int main(int count, char **words)
{
    static struct client clients[MOST];
    struct epoll_event events[MOST];
    if (count != 4 || atoi(words[2]) > MOST) return 2;
    request_size = fread(request, 1, sizeof request, stdin);
    int poll = epoll_create1(0);
    for (int i = 0; i < atoi(words[2]); i++) {
        clients[i].fd = reach(words[1]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    double start = now(), seconds = atof(words[3]);
    for (int i = 0; i < atoi(words[2]); i++) ask(&clients[i]);
    while (now() - start < seconds) {
        int ready = epoll_wait(poll, events, MOST, 1000);
        if (!ready) errors++;
        for (int i = 0; i < ready; i++) hear(events[i].data.ptr);
    }
    seconds = now() - start;
    long kept = answered < SAMPLES ? answered : SAMPLES;
    qsort(samples, kept, sizeof *samples, by_size);
    printf("%ld %.6f %ld %u %u\n", answered, seconds, errors, samples[kept / 2], samples[kept * 99 / 100]);
    return 0;
}
