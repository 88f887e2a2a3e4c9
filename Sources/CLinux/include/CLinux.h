// Apache-2.0. System calls and constants that Swift's Glibc module does not show.
#pragma once
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

// accept4 with SOCK_NONBLOCK | SOCK_CLOEXEC; -1 and errno on failure.
int samara_accept(int listener);

// socket with SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC; -1 and errno on failure.
int samara_stream_socket(int family);

// User at the other end of a Unix socket; -1 where the kernel does not say.
int64_t samara_peer_user(int socket);
