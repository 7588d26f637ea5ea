/* A host for a Downshift accelerator: loads images and runs frames over any link that exchanges
 * bytes, such as SPI.
 *
 *     static int transfer(void *context, const uint8_t *out, uint8_t *in, size_t count);
 *
 *     downshift_host host;
 *     downshift_init(&host, transfer, NULL);
 *     downshift_load(&host, &model_digits);                   // of model.h
 *     downshift_run(&host, &model_digits, 4, codes, logits);  // at 4 bits
 *
 * C99, no heap, no other library. One host must not be used from several threads at once.
 */
#ifndef DOWNSHIFT_H
#define DOWNSHIFT_H

#include <stddef.h>
#include <stdint.h>

#define DOWNSHIFT_PROTOCOL 3
/* Bytes of content that go in one request: tag, command, address and data. */
#define DOWNSHIFT_CONTENT 260

/* What a function returns: 0, an error of the link protocol (1 to 11), or one of these. */
#define DOWNSHIFT_TRANSFER_FAILED (-1) /* transfer returned something else than 0 */
#define DOWNSHIFT_SILENT (-2)          /* no answer */
#define DOWNSHIFT_STRANGE (-3)         /* an answer that this driver does not know */
#define DOWNSHIFT_NO_SUCH_WIDTH (-4)   /* the model does not run at this width */

/* Exchanges `count` bytes: sends those of `out`, and stores what comes back meanwhile in `in`.
 * Returns 0, or anything else if that failed. */
typedef int (*downshift_transfer)(void *context, const uint8_t *out, uint8_t *in, size_t count);

typedef struct {
    downshift_transfer transfer;
    void *context;
    uint32_t patience; /* bytes to exchange until an answer is given up; more than a frame takes */
    uint8_t attempts;  /* for a request */
    /* Own state. */
    uint8_t tag, in_step;
    uint8_t content[DOWNSHIFT_CONTENT + 4];
    size_t length;
} downshift_host;

/* A section of an image. */
typedef struct {
    uint8_t id;
    const uint8_t *content;
    uint32_t length, crc;
} downshift_section;

/* Where a frame at one width finds its input and leaves its logits. */
typedef struct {
    uint8_t width, input_bits;
    uint32_t input_address, logits_address;
} downshift_gear;

/* A compiled network. */
typedef struct {
    uint32_t fingerprint;
    uint8_t image_format;
    uint32_t pixels, channels, classes;
    const downshift_section *sections;
    uint8_t section_count;
    const downshift_gear *gears;
    uint8_t gear_count;
} downshift_model;

/* Counts of a frame, in cycles and words. */
typedef struct {
    uint32_t cycles, busy, tile_load, fetch, weight_words;
} downshift_counters;

void downshift_init(downshift_host *host, downshift_transfer transfer, void *context);

/* Loads an image, which the accelerator checks for itself. */
int downshift_load(downshift_host *host, const downshift_model *model);

/* Runs a frame: `codes` are pixels * channels bytes, each within input_bits of the width's gear;
 * `logits` takes classes numbers. Another width than before costs nothing. Error 8 (NO_IMAGE): the accelerator was reset; load again. */
int downshift_run(downshift_host *host, const downshift_model *model, uint8_t width,
                  const uint8_t *codes, int32_t *logits);

/* As downshift_run, and stores what the accelerator counted. */
int downshift_run_counted(downshift_host *host, const downshift_model *model, uint8_t width,
                          const uint8_t *codes, int32_t *logits, downshift_counters *counters);

/* Compares the accelerator's memories with the image. Error 7 (BAD_CHECKSUM): a bit has flipped;
 * load again. */
int downshift_scrub(downshift_host *host, const downshift_model *model);

#endif
