/* explain=1: a handler for SIGSEGV and SIGBUS that the program does not see. */
#ifndef CGC_PRELOAD_FAULTS_H
#define CGC_PRELOAD_FAULTS_H

#include "base/bits.h"

/* After the heap and the roots have started; only with explain=1. */
void faults_start(void);
void faults_forked(void);

/* Around a call that asks for or sets the action of a signal: in between, the kernel has the program's own. false: the signal is
 * none of ours, and step_back must not be called. */
bool faults_step_aside(int number, uint64_t *mask);
void faults_step_back(int number, uint64_t mask);

#endif
