#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause
# The C++ compiler, and a C++ program with threads, exceptions, containers and aligned new.
# needs: g++

cat >case.cc <<'CC'
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <future>
#include <map>
#include <memory>
#include <new>
#include <numeric>
#include <regex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>
struct alignas(128) Wide { char c[128]; };
static long work(int k)
{
	std::map<int, std::string> m;
	std::unordered_map<std::string, std::vector<int>> u;
	long sum = 0;
	for (int i = 0; i < 20000; i++) {
		m[(i * 7919 * k) % 10007] += std::string(i % 40, 'a' + i % 26);
		u[std::to_string(i % 500)].push_back(i);
		try {
			if (i % 50 == 0)
				throw std::runtime_error(std::string(100 + i % 100, 'e'));
			if (i % 333 == 0)
				throw std::make_unique<Wide>();
		} catch (const std::exception &e) {
			sum += std::string(e.what()).size();
		} catch (const std::unique_ptr<Wide> &p) {
			sum += reinterpret_cast<uintptr_t>(p.get()) % 128;
		}
	}
	for (auto &[key, s] : m)
		sum += static_cast<long>(s.size()) * (key % 3);
	for (auto &[key, v] : u)
		sum = std::accumulate(v.begin(), v.end(), sum);
	return sum;
}
int main()
{
	std::vector<std::future<long>> jobs;
	for (int k = 1; k <= 8; k++)
		jobs.push_back(std::async(std::launch::async, work, k));
	for (auto &job : jobs)
		std::printf("%ld\n", job.get());
	std::vector<std::unique_ptr<Wide>> wide(1000);
	for (auto &p : wide)
		p = std::make_unique<Wide>();
	try {
		volatile std::size_t huge = SIZE_MAX / 2;
		std::unique_ptr<char[]> p(new char[huge]);
		std::puts("impossible");
	} catch (const std::bad_alloc &) {
		std::puts("bad_alloc");
	}
	char *n = new (std::nothrow) char[100];
	delete[] n;
	std::regex r("(a+)(b|c)*d");
	std::puts(std::regex_replace(std::string("xaabcdxad"), r, "<$1>").c_str());
	thread_local std::vector<int> per_thread(1000, 7);
	std::thread([] { per_thread.resize(2000); }).join();
	std::printf("%zu\n", per_thread.size());
}
CC
g++ -std=c++17 -O1 -pthread case.cc -o case
./case
g++ -std=c++17 -O0 -static-libstdc++ -static-libgcc -pthread case.cc -o case2
./case2 | sha256sum
