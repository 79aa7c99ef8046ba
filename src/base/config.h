/* The one place that asks what the compiler builds for. */
#ifndef CGC_BASE_CONFIG_H
#define CGC_BASE_CONFIG_H

/* Sanitizers own fixed parts of the address space and kill a mapping there: their builds reserve the windows of the heap at
 * addresses that the kernel chooses, and commit step by step. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define CONFIG_RESERVE 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer) || __has_feature(memory_sanitizer)
#define CONFIG_RESERVE 1
#endif
#endif
#ifndef CONFIG_RESERVE
#define CONFIG_RESERVE 0
#endif

/* As uname -m says it. */
#if defined(__x86_64__)
#define CONFIG_MACHINE "x86_64"
#elif defined(__aarch64__)
#define CONFIG_MACHINE "aarch64"
#endif

#endif
