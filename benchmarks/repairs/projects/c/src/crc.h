#ifndef CRC_H
#define CRC_H

#include <stddef.h>
#include <stdint.h>

extern const uint32_t crc_table[256];

uint32_t crc32_of(const unsigned char *data, size_t length);

#endif
