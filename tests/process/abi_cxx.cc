// SPDX-License-Identifier: BSD-2-Clause
//
// The C++ operators: every form of new and delete, plain, array, sized, aligned, nothrow, and mixed with malloc's
// heap where that is legal; bad_alloc for what cannot be, nullptr from nothrow forms; the new handler is called
// again and again until it helps, throws or removes itself.
/* run: preload linked static */
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <malloc.h>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#define CHECK(condition)                                                              \
	do {                                                                          \
		if (!(condition)) {                                                   \
			fprintf(stderr, "abi_cxx.cc:%d: %s\n", __LINE__, #condition); \
			exit(1);                                                      \
		}                                                                     \
	} while (0)

static size_t hide(size_t n) {
	__asm__ volatile("" : "+r"(n));
	return n;
}

static const std::nothrow_t &quiet = std::nothrow;

static void check_forms() {
	for (size_t n = 0; n < 3000000; n += n / 3 + 1) {
		void *p[4] = {
		    ::operator new(n), ::operator new[](n), ::operator new(n, quiet), ::operator new[](n, quiet)};
		for (void *q : p) {
			CHECK(q != nullptr && reinterpret_cast<uintptr_t>(q) % (n > 8 ? 16 : 8) == 0);
			CHECK(malloc_usable_size(q) >= n);
			memset(q, 1, n);
		}
		::operator delete(p[0]);
		::operator delete[](p[1]);
		::operator delete(p[2], quiet);
		::operator delete[](p[3], quiet);
		::operator delete(::operator new(n), n);
		::operator delete[](::operator new[](n), n);
		for (size_t a = 1; a <= 65536; a *= 4) {
			std::align_val_t al{a};
			void *r[4] = {::operator new(n, al), ::operator new[](n, al), ::operator new(n, al, quiet),
			    ::operator new[](n, al, quiet)};
			for (void *q : r) {
				CHECK(q != nullptr && reinterpret_cast<uintptr_t>(q) % a == 0);
				memset(q, 2, n);
			}
			::operator delete(r[0], al);
			::operator delete[](r[1], al);
			::operator delete(r[2], al, quiet);
			::operator delete[](r[3], al, quiet);
			::operator delete(::operator new(n, al), n, al);
			::operator delete[](::operator new[](n, al), n, al);
		}
	}
	::operator delete(nullptr);
	::operator delete[](nullptr);
	::operator delete(nullptr, 10);
	::operator delete (nullptr, std::align_val_t{64});
	::operator delete (nullptr, 10, std::align_val_t{64});
	::operator delete(nullptr, quiet);
}

template <typename F> static bool throws_bad_alloc(F f) {
	try {
		f();
	} catch (const std::bad_alloc &) {
		return true;
	}
	return false;
}

static void check_impossible() {
	const size_t sizes[] = {size_t(PTRDIFF_MAX) + 1, SIZE_MAX, SIZE_MAX - 4096};
	std::align_val_t al{64};
	for (size_t size : sizes) {
		size_t n = hide(size);
		CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n)); }));
		CHECK(throws_bad_alloc([&] { ::operator delete[](::operator new[](n)); }));
		CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n, al), al); }));
		CHECK(throws_bad_alloc([&] { ::operator delete[](::operator new[](n, al), al); }));
		CHECK(::operator new(n, quiet) == nullptr);
		CHECK(::operator new[](n, quiet) == nullptr);
		CHECK(::operator new(n, al, quiet) == nullptr);
		CHECK(::operator new[](n, al, quiet) == nullptr);
	}
}

static int calls;
static void *reserve;
struct handler_error : std::bad_alloc {};

static void count_then_remove() {
	if (++calls == 5)
		std::set_new_handler(nullptr);
}

static void throw_own() {
	calls++;
	throw handler_error();
}

static void allocate_inside() {
	free(reserve);
	reserve = ::operator new(100);
	if (++calls == 3)
		std::set_new_handler(nullptr);
}

static void check_handler() {
	size_t n = hide(SIZE_MAX / 2 + 1);
	std::align_val_t al{4096};
	calls = 0;
	std::set_new_handler(count_then_remove);
	CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n)); }));
	CHECK(calls == 5);
	calls = 0;
	std::set_new_handler(count_then_remove);
	CHECK(::operator new[](n, quiet) == nullptr);
	CHECK(calls == 5);
	calls = 0;
	std::set_new_handler(count_then_remove);
	CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n, al), al); }));
	CHECK(calls == 5);

	std::set_new_handler(throw_own);
	calls = 0;
	bool own = false;
	try {
		::operator delete(::operator new(n));
	} catch (const handler_error &) {
		own = true;
	}
	CHECK(own && calls == 1);
	CHECK(::operator new(n, quiet) == nullptr); /* nothrow catches what the handler throws */
	CHECK(::operator new(n, al, quiet) == nullptr);
	CHECK(calls == 3);

	std::set_new_handler(allocate_inside);
	calls = 0;
	CHECK(throws_bad_alloc([&] { ::operator delete(::operator new(n)); }));
	CHECK(calls == 3);
	free(reserve);
	CHECK(std::get_new_handler() == nullptr);
}

struct alignas(256) wide {
	char bytes[300];
};

static void check_containers() {
	std::vector<std::unique_ptr<wide>> wides;
	std::unordered_map<std::string, std::vector<int>> map;
	for (int i = 0; i < 2000; i++) {
		wides.push_back(std::make_unique<wide>());
		CHECK(reinterpret_cast<uintptr_t>(wides.back().get()) % 256 == 0);
		map["key of some length " + std::to_string(i)].assign(size_t(i), i);
	}
	std::thread([&] {
		wides.clear();
		for (int i = 0; i < 2000; i += 2)
			map.erase("key of some length " + std::to_string(i));
	}).join();
	CHECK(map.size() == 1000 && map["key of some length 1999"].back() == 1999);
}

int main() {
	check_forms();
	check_impossible();
	check_handler();
	check_containers();
	return 0;
}
