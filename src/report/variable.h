/* Names of variables: variable.c. Inside src/report only. */
#ifndef CGC_REPORT_VARIABLE_H
#define CGC_REPORT_VARIABLE_H

#include "base/bits.h"

struct variable {
	char name[160];     /* as the file has it; "": not known */
	uint64_t offset;    /* from the variable's start */
	char section[32];   /* ".bss"; "": not known */
};
/* What an ELF file says of `value`, an address in the file. */
void variable_find(const char *path, uint64_t value, struct variable *v);

#endif
