/* Handlers that the program does not see: explain=1, for SIGSEGV and SIGBUS; report_on=signal, for what ends the process by default. */
#ifndef CGC_PRELOAD_FAULTS_H
#define CGC_PRELOAD_FAULTS_H

#include "base/options.h"

static inline bool faults_wanted(void) { return UNLIKELY(options.explain || (options.report_on & REPORT_ON_SIGNAL)); }
/* After the heap and the roots have started; only if wanted. ends: the process is about to die of this signal. */
void faults_start(void (*ends)(int number));
void faults_forked(void);
void faults_exec(void); /* before an exec: a signal that was put off ends the process now */

/* Around a call that asks for or sets the action of a signal: in between, the kernel has the program's own. false: the signal is
 * none of ours, and step_back must not be called. */
bool faults_step_aside(int number, uint64_t *mask);
void faults_step_back(int number, uint64_t mask);

#endif
