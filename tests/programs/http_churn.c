/*
 * http_churn PORT [ROUNDS [CONNECTIONS]]: a threaded HTTP/1.0 server and its load in one process.
 *
 * The server makes a thread for each connection; each request builds malloc'ed header lists, a body by realloc and a
 * per-request tree that is dropped without free. The load opens all connections of a round, sends every request, reads
 * every answer and closes all at once, so that hundreds of threads are born and torn down in the same instant, together with
 * whatever cycles run. In the last round the clients close without reading.
 *
 * Prints one line a round: what was answered, and a digest of the bodies in order. The output is the same in every run.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>

#include "kit.h"

enum { CONNECTIONS_MAX = 1024, REQUEST_MAX = 2048 };

struct header {
	struct header *next;
	char *name, *value;
};
struct scrap { /* what each request loses */
	struct scrap *left, *right;
	char text[48];
};

static uint32_t open_threads; /* atomic */

static void *get(void *old, size_t size)
{
	void *p = realloc(old, size);
	if (!p)
		kit_fail("http_churn: no memory");
	return p;
}

static char *copy(const char *from, size_t n)
{
	char *p = get(NULL, n + 1);
	memcpy(p, from, n);
	p[n] = 0;
	return p;
}

static struct scrap *lose(int depth)
{
	struct scrap *s = calloc(1, sizeof *s);
	if (!s)
		kit_fail("http_churn: no memory");
	if (depth) {
		s->left = lose(depth - 1);
		s->right = lose(depth - 1);
	}
	return s;
}

static struct header *parse(const char *at)
{
	struct header *list = NULL;
	for (const char *end; (end = strstr(at, "\r\n")) && end != at; at = end + 2) {
		const char *colon = memchr(at, ':', (size_t)(end - at));
		struct header *h = get(NULL, sizeof *h);
		const char *cut = colon ? colon : end;
		*h = (struct header){ list, copy(at, (size_t)(cut - at)), colon ? copy(colon + 1, (size_t)(end - colon - 1)) : NULL };
		list = h;
	}
	return list;
}

/* The body depends on the request's path and headers only. */
static char *answer(const char *request, size_t *length)
{
	struct header *list = parse(request);
	char *body = NULL;
	size_t n = 0;
	for (int i = 0; i < 40; i++)
		for (struct header *h = list; h; h = h->next) {
			size_t name = strlen(h->name), value = h->value ? strlen(h->value) : 0;
			body = get(body, n + name + value + 16);
			n += (size_t)sprintf(body + n, "%d:%s=%s\n", i, h->name, h->value ? h->value : "");
		}
	while (list) {
		struct header *next = list->next;
		free(list->name);
		free(list->value);
		free(list);
		list = next;
	}
	*length = n;
	return body;
}

static bool send_all(int fd, const char *p, size_t n)
{
	for (ssize_t k; n; p += k, n -= (size_t)k) {
		k = send(fd, p, n, MSG_NOSIGNAL);
		if (k <= 0)
			return false;
	}
	return true;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char *request = get(NULL, REQUEST_MAX);
	size_t have = 0;
	ssize_t k;
	request[0] = 0;
	while (have < REQUEST_MAX - 1 && !strstr(request, "\r\n\r\n") && (k = recv(fd, request + have, REQUEST_MAX - 1 - have, 0)) > 0)
		request[have += (size_t)k] = 0;
	lose(4);
	size_t length = 0;
	char *body = answer(request, &length), head[128];
	int n = snprintf(head, sizeof head, "HTTP/1.0 200 OK\r\nContent-Length: %zu\r\n\r\n", length);
	if (send_all(fd, head, (size_t)n))
		send_all(fd, body, length);
	free(body);
	free(request);
	close(fd);
	__atomic_fetch_sub(&open_threads, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *accept_all(void *arg)
{
	int listener = (int)(intptr_t)arg;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, 256 << 10);
	for (;;) {
		int fd = accept(listener, NULL, NULL);
		if (fd < 0 && errno == EINTR)
			kit_fail("http_churn: accept returned EINTR, though the program installs no handler");
		if (fd < 0)
			return NULL;
		__atomic_fetch_add(&open_threads, 1, __ATOMIC_ACQUIRE);
		pthread_t t;
		while (pthread_create(&t, &attr, serve, (void *)(intptr_t)fd))
			sched_yield(); /* EAGAIN: too many at once; some end soon */
	}
}

static int dial(int port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to))
		kit_fail("http_churn: connect: %s", strerror(errno));
	return fd;
}

static uint64_t read_answer(int fd, size_t *bytes)
{
	static char buffer[1 << 16];
	uint64_t digest = 14695981039346656037ULL;
	for (ssize_t k; (k = recv(fd, buffer, sizeof buffer, 0)) > 0; *bytes += (size_t)k)
		for (ssize_t i = 0; i < k; i++)
			digest = (digest ^ (uint8_t)buffer[i]) * 1099511628211ULL;
	return digest;
}

static void one_round(int port, int round, int connections, bool read_them)
{
	int fd[CONNECTIONS_MAX];
	char request[REQUEST_MAX];
	for (int i = 0; i < connections; i++)
		fd[i] = dial(port);
	for (int i = 0; i < connections; i++) {
		int n = snprintf(request, sizeof request, "GET /r%d/c%d HTTP/1.0\r\nHost: churn\r\nX-Round: %d\r\nX-Number: %d\r\nX-Pad: %.*s\r\n\r\n",
		                 round, i, round, i, i % 50, "pppppppppppppppppppppppppppppppppppppppppppppppppp");
		if (!send_all(fd[i], request, (size_t)n))
			kit_fail("http_churn: send failed");
	}
	size_t bytes = 0;
	uint64_t digest = 0;
	for (int i = 0; read_them && i < connections; i++)
		digest = digest * 31 + read_answer(fd[i], &bytes);
	for (int i = 0; i < connections; i++)
		close(fd[i]);
	printf("round %d: %d connections, %zu bytes, digest %016llx\n", round, connections, bytes, (unsigned long long)digest);
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 17600, rounds = argc > 2 ? atoi(argv[2]) : 10;
	int connections = argc > 3 ? atoi(argv[3]) : 256;
	if (connections < 1 || connections > CONNECTIONS_MAX)
		return 2;
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
	if (bind(listener, (struct sockaddr *)&at, sizeof at) || listen(listener, CONNECTIONS_MAX))
		kit_fail("http_churn: port %d: %s", port, strerror(errno));
	pthread_t acceptor;
	if (pthread_create(&acceptor, NULL, accept_all, (void *)(intptr_t)listener))
		return 2;
	for (int round = 1; round <= rounds; round++)
		one_round(port, round, connections, round < rounds);
	shutdown(listener, SHUT_RDWR);
	pthread_join(acceptor, NULL);
	while (__atomic_load_n(&open_threads, __ATOMIC_ACQUIRE))
		usleep(1000);
	puts("done");
	return 0;
}
