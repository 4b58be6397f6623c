#define _GNU_SOURCE
/* The floor: what a cached answer costs when nothing but the checks and the sending are done. One thread, epoll.
 *
 *   floor PORT HOST BEARER [PATH HEAD BODY]...
 *
 * HEAD is a file with the header lines of a 200 (CRLF, an ETag among them), BODY one with its body. PORT 0 is any free one:
 * "ready PORT" is printed. The Host has to be HOST:PORT and the bearer BEARER, both compared in constant time; `-` for
 * either lets everybody in, so that it can be the origin behind a cache. An If-None-Match that fits is a 304.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define MOST_PAGES 16
#define HEAD_SIZE 4096

struct page { const char *path; size_t path_size; char *head, *body, *short_head, etag[128]; size_t head_size, body_size, short_size; };
struct peer { int fd; size_t got, head_size, sent, body_size; const char *body; char in[HEAD_SIZE], head[HEAD_SIZE]; };

static struct page pages[MOST_PAGES];
static int page_count, epoll_fd;
static char host[128], bearer[256], date[64];
static size_t date_size;
static time_t date_of;

static void die(const char *why) { perror(why); exit(1); }

static char *whole(const char *name, size_t *size)
{
    int fd = open(name, O_RDONLY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st)) die(name);
    char *data = malloc(st.st_size + 1);
    for (size_t got = 0; got < (size_t)st.st_size;) {
        ssize_t n = read(fd, data + got, st.st_size - got);
        if (n <= 0) die(name);
        got += n;
    }
    data[*size = st.st_size] = 0;
    close(fd);
    return data;
}

/* The time that this takes says nothing about where the two differ. */
static int same(const char *a, size_t size, const char *b, size_t wanted)
{
    unsigned char off = size != wanted;
    for (size_t i = 0; i < wanted; i++) off |= b[i] ^ (i < size ? a[i] : 0);
    return !off;
}

static void add_page(char *path, char *head_file, char *body_file)
{
    if (page_count == MOST_PAGES) exit(2);
    struct page *page = &pages[page_count++];
    size_t size;
    char *lines = whole(head_file, &size);
    page->path = path;
    page->path_size = strlen(path);
    page->body = whole(body_file, &page->body_size);
    page->head = malloc(size + 256);
    page->short_head = malloc(size + 256);
    page->head_size = sprintf(page->head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s", page->body_size, lines);
    page->short_size = sprintf(page->short_head, "HTTP/1.1 304 Not Modified\r\n");
    for (char *line = lines; *line;) {
        char *end = strstr(line, "\r\n") + 2;
        if (!strncasecmp(line, "ETag: ", 6)) snprintf(page->etag, sizeof page->etag, "%.*s", (int)(end - line - 8), line + 6);
        if (strncasecmp(line, "Content-Type:", 13)) {
            memcpy(page->short_head + page->short_size, line, end - line);
            page->short_size += end - line;
        }
        line = end;
    }
    free(lines);
}

static void watch(struct peer *peer, int how, unsigned events)
{
    struct epoll_event event = {.events = events, .data.ptr = peer};
    epoll_ctl(epoll_fd, how, peer->fd, &event);
}

static int flush(struct peer *peer)
{
    while (peer->sent < peer->head_size + peer->body_size) {
        struct iovec parts[2];
        struct msghdr message = {.msg_iov = parts};
        size_t left = peer->sent < peer->head_size ? peer->head_size - peer->sent : 0;
        size_t at = left ? 0 : peer->sent - peer->head_size;
        if (left) parts[message.msg_iovlen++] = (struct iovec){peer->head + peer->sent, left};
        if (peer->body_size > at) parts[message.msg_iovlen++] = (struct iovec){(void *)(peer->body + at), peer->body_size - at};
        ssize_t n = sendmsg(peer->fd, &message, MSG_NOSIGNAL);
        if (n < 0) return errno == EAGAIN ? 0 : -1;
        peer->sent += n;
    }
    return 1;
}

static void reply(struct peer *peer, const char *head, size_t head_size, const char *body, size_t body_size)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    if (now.tv_sec != date_of) {
        struct tm parts;
        date_of = now.tv_sec;
        date_size = strftime(date, sizeof date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n\r\n", gmtime_r(&date_of, &parts));
    }
    memcpy(peer->head, head, head_size);
    memcpy(peer->head + head_size, date, date_size);
    peer->head_size = head_size + date_size;
    peer->body = body;
    peer->body_size = body_size;
    peer->sent = 0;
}

static void refuse(struct peer *peer, const char *status)
{
    char head[128];
    reply(peer, head, snprintf(head, sizeof head, "HTTP/1.1 %s\r\nContent-Length: 0\r\n", status), "", 0);
}

static void answer(struct peer *peer, char *end)
{
    char *line = memchr(peer->in, '\r', end - peer->in), *path = peer->in + 4, *tag = NULL;
    size_t tag_size = 0;
    int hosts = 0, right_host = 0, known = 0;
    if (strncmp(peer->in, "GET ", 4)) return refuse(peer, "405 Method Not Allowed");
    size_t path_size = strcspn(path, " \r");
    while (line < end) {
        char *name = line + 2, *colon, *value;
        line = strstr(name, "\r\n");
        if (!(colon = memchr(name, ':', line - name))) return refuse(peer, "400 Bad Request");
        for (value = colon + 1; *value == ' '; value++);
        size_t size = line - value;
        if (colon - name == 4 && !strncasecmp(name, "host", 4)) {
            hosts++;
            right_host = same(value, size, host, strlen(host));
        } else if (colon - name == 13 && !strncasecmp(name, "authorization", 13)) {
            known = size > 7 && !strncasecmp(value, "bearer ", 7) && same(value + 7, size - 7, bearer, strlen(bearer));
        } else if (colon - name == 13 && !strncasecmp(name, "if-none-match", 13)) {
            tag = value;
            tag_size = size;
        }
    }
    if (*host != '-' && (hosts != 1 || !right_host)) return refuse(peer, "403 Forbidden");
    if (*bearer != '-' && !known) return refuse(peer, "401 Unauthorized");
    for (struct page *page = pages; page < pages + page_count; page++) {
        if (page->path_size != path_size || memcmp(page->path, path, path_size)) continue;
        if (tag && tag_size == strlen(page->etag) && !memcmp(tag, page->etag, tag_size))
            return reply(peer, page->short_head, page->short_size, "", 0);
        return reply(peer, page->head, page->head_size, page->body, page->body_size);
    }
    refuse(peer, "404 Not Found");
}

static void end(struct peer *peer)
{
    close(peer->fd);
    free(peer);
}

static void hear(struct peer *peer)
{
    ssize_t n = recv(peer->fd, peer->in + peer->got, sizeof peer->in - 1 - peer->got, 0);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) return end(peer);
    peer->in[peer->got += n] = 0;
    char *head_end;
    while ((head_end = strstr(peer->in, "\r\n\r\n"))) {
        answer(peer, head_end);
        size_t used = head_end + 4 - peer->in;
        memmove(peer->in, peer->in + used, peer->got -= used);
        peer->in[peer->got] = 0;
        int done = flush(peer);
        if (done < 0) return end(peer);
        if (!done) return watch(peer, EPOLL_CTL_MOD, EPOLLOUT);
    }
    if (peer->got == sizeof peer->in - 1) end(peer);
}

int main(int count, char **words)
{
    if (count < 4 || (count - 4) % 3) return 2;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(words[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (void *)&address, size) || listen(listener, 128) || getsockname(listener, (void *)&address, &size)) die("listen");
    snprintf(host, sizeof host, *words[2] == '-' ? "-" : "%s:%d", words[2], ntohs(address.sin_port));
    snprintf(bearer, sizeof bearer, "%s", words[3]);
    for (int i = 4; i < count; i += 3) add_page(words[i], words[i + 1], words[i + 2]);
    epoll_fd = epoll_create1(0);
    struct epoll_event events[64], first = {.events = EPOLLIN};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &first);
    printf("ready %d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(epoll_fd, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            struct peer *peer = events[i].data.ptr;
            if (!peer) {
                int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
                if (fd < 0) continue;
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                peer = calloc(1, sizeof *peer);
                peer->fd = fd;
                watch(peer, EPOLL_CTL_ADD, EPOLLIN);
            } else if (events[i].events & EPOLLOUT) {
                int done = flush(peer);
                if (done < 0) end(peer);
                else if (done) watch(peer, EPOLL_CTL_MOD, EPOLLIN);
            } else {
                hear(peer);
            }
        }
    }
}
