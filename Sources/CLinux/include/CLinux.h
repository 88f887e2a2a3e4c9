// Apache-2.0. System calls and constants that Swift's Glibc module does not show.
#pragma once
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
