// Pseudo-random numbers with published algorithms, so that anybody can reproduce a simulation.
//
// xoshiro256** 1.0 (David Blackman and Sebastiano Vigna, 2018, https://prng.di.unimi.it/xoshiro256starstar.c),
// seeded by SplitMix64 (Guy L. Steele Jr., Doug Lea, Christine H. Flood: Fast Splittable Pseudorandom Number
// Generators, OOPSLA 2014; https://prng.di.unimi.it/splitmix64.c), as its authors advise. Not for secrets.
#ifndef TORVYN_CONNECT_GENERATOR_RANDOM_H
#define TORVYN_CONNECT_GENERATOR_RANDOM_H

#include <stdint.h>

typedef struct tv_random {
    uint64_t state[4];
} tv_random;

// Advances *state and returns the next number of SplitMix64.
uint64_t tv_splitmix64_next(uint64_t *state);
void tv_random_init(tv_random *random, uint64_t seed);
uint64_t tv_random_next(tv_random *random);

#endif
