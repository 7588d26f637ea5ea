#include "downshift.h"

#include <string.h>

enum { END = 0xC0, ESC = 0xDB, ESC_END = 0xDC, ESC_ESC = 0xDD };
enum { INFO, WRITE, READ, LOAD, SECTION, DATA, CHECK, RUN, SCRUB };
enum { BAD_FRAME = 1, UNKNOWN_COMMAND = 3, WRONG_CONFIGURATION = 5 };
enum { PART = 256, CHUNK = 64, QUIET_CHUNKS = 16, MOST_CHUNKS = 256 };

static uint32_t crc32(const uint8_t *bytes, size_t count)
{
    uint32_t crc = 0xFFFFFFFFu;
    while (count--) {
        crc ^= *bytes++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0xEDB88320u & (0u - (crc & 1)));
    }
    return ~crc;
}

static void put(uint8_t *bytes, uint32_t value, int count)
{
    for (int k = 0; k < count; k++)
        bytes[k] = (uint8_t)(value >> 8 * k);
}

static uint32_t get(const uint8_t *bytes, int count)
{
    uint32_t value = 0;
    while (count--)
        value = value << 8 | bytes[count];
    return value;
}

/* Bytes on their way out, a chunk at a time. */
typedef struct {
    downshift_host *host;
    uint8_t bytes[CHUNK];
    size_t count;
    int failed;
} sender;

static void flush(sender *s)
{
    uint8_t in[CHUNK];
    if (s->count && !s->failed)
        s->failed = s->host->transfer(s->host->context, s->bytes, in, s->count) != 0;
    s->count = 0;
}

static void send(sender *s, uint8_t byte)
{
    s->bytes[s->count++] = byte;
    if (s->count == CHUNK)
        flush(s);
}

static void send_escaped(sender *s, uint8_t byte)
{
    if (byte == END || byte == ESC) {
        send(s, ESC);
        byte = byte == END ? ESC_END : ESC_ESC;
    }
    send(s, byte);
}

/* Sends what lies in `content`, whose answer replaces it. The accelerator answers nothing before it
 * has the whole request. */
static int exchange(downshift_host *host)
{
    sender s = {host, {0}, 0, 0};
    uint8_t crc[4], idle[CHUNK], in[CHUNK];
    uint32_t waited = 0;
    int escaped = 0;

    put(crc, crc32(host->content, host->length), 4);
    send(&s, END);
    for (size_t k = 0; k < host->length; k++)
        send_escaped(&s, host->content[k]);
    for (size_t k = 0; k < 4; k++)
        send_escaped(&s, crc[k]);
    send(&s, END);
    flush(&s);
    if (s.failed)
        return DOWNSHIFT_TRANSFER_FAILED;

    memset(idle, END, sizeof idle);
    host->length = 0;
    while (waited < host->patience) {
        if (host->transfer(host->context, idle, in, CHUNK))
            return DOWNSHIFT_TRANSFER_FAILED;
        waited += CHUNK;
        for (size_t k = 0; k < CHUNK; k++) {
            uint8_t byte = in[k];
            if (byte == END) {
                size_t length = host->length;
                host->length = 0;
                escaped = 0;
                if (length >= 7 && length <= sizeof host->content
                    && crc32(host->content, length - 4) == get(host->content + length - 4, 4)) {
                    host->length = length - 4;
                    return 0;
                }
            } else if (byte == ESC && !escaped) {
                escaped = 1;
            } else {
                if (escaped)
                    byte = byte == ESC_END ? END : byte == ESC_ESC ? ESC : byte;
                escaped = 0;
                if (host->length < sizeof host->content)
                    host->content[host->length] = byte;
                host->length++;
            }
        }
    }
    return DOWNSHIFT_SILENT;
}

/* Waits until nothing comes any more, or the line turns out to be stuck. */
static int drain(downshift_host *host)
{
    uint8_t idle[CHUNK], in[CHUNK];
    int quiet = 0;
    memset(idle, END, sizeof idle);
    for (int k = 0; k < MOST_CHUNKS && quiet < QUIET_CHUNKS; k++) {
        if (host->transfer(host->context, idle, in, CHUNK))
            return DOWNSHIFT_TRANSFER_FAILED;
        quiet = memcmp(idle, in, CHUNK) ? 0 : quiet + 1;
    }
    return 0;
}

/* Sends a request until it is answered; `head` and `data` are its payload. The answer's payload lies
 * behind the first three bytes of `content`. */
static int request(downshift_host *host, uint8_t command, const uint8_t *head, size_t head_count,
                   const uint8_t *data, size_t data_count)
{
    int status = DOWNSHIFT_SILENT;

    /* What is done but once is told by its tag from the request before, which must be known. */
    if ((command == DATA || command == RUN) && !host->in_step) {
        status = request(host, INFO, NULL, 0, NULL, 0);
        if (status)
            return status;
    }
    host->tag++;
    for (int attempt = 0; attempt < host->attempts; attempt++) {
        host->content[0] = host->tag;
        host->content[1] = command;
        if (head_count)
            memcpy(host->content + 2, head, head_count);
        if (data_count)
            memcpy(host->content + 2 + head_count, data, data_count);
        host->length = 2 + head_count + data_count;
        status = exchange(host);
        if (status == 0 && host->content[2] != BAD_FRAME && host->content[0] == host->tag
            && (host->content[1] == command || host->content[2] == UNKNOWN_COMMAND)) {
            host->in_step = 1;
            return host->content[2];
        }
        if (status == 0)
            status = host->content[2] == BAD_FRAME ? BAD_FRAME : DOWNSHIFT_STRANGE;
        if (status == DOWNSHIFT_TRANSFER_FAILED || drain(host)) {
            status = DOWNSHIFT_TRANSFER_FAILED;
            break;
        }
    }
    host->in_step = 0;
    return status;
}

void downshift_init(downshift_host *host, downshift_transfer transfer, void *context)
{
    memset(host, 0, sizeof *host);
    host->transfer = transfer;
    host->context = context;
    host->patience = 1000000;
    host->attempts = 8;
}

/* Compares with, or ends, a section: its checksum and length. */
static void claim(uint8_t *bytes, const downshift_section *section)
{
    put(bytes, section->crc, 4);
    put(bytes + 4, section->length, 3);
}

int downshift_load(downshift_host *host, const downshift_model *model)
{
    uint8_t head[7];
    int status = request(host, INFO, NULL, 0, NULL, 0);
    if (status)
        return status;
    if (host->length != 11 || host->content[3] != DOWNSHIFT_PROTOCOL)
        return DOWNSHIFT_STRANGE;
    if (get(host->content + 7, 4) != model->fingerprint)
        return WRONG_CONFIGURATION;
    head[0] = model->image_format;
    put(head + 1, model->fingerprint, 4);
    status = request(host, LOAD, head, 5, NULL, 0);
    for (int k = 0; k < model->section_count && !status; k++) {
        const downshift_section *section = &model->sections[k];
        status = request(host, SECTION, &section->id, 1, NULL, 0);
        for (uint32_t at = 0; at < section->length && !status; at += PART) {
            uint32_t count = section->length - at < PART ? section->length - at : PART;
            status = request(host, DATA, NULL, 0, section->content + at, count);
        }
        if (status)
            return status;
        claim(head, section);
        status = request(host, CHECK, head, 7, NULL, 0);
    }
    return status;
}

int downshift_scrub(downshift_host *host, const downshift_model *model)
{
    int status = 0;
    for (int k = 0; k < model->section_count && !status; k++) {
        uint8_t head[8];
        head[0] = model->sections[k].id;
        claim(head + 1, &model->sections[k]);
        status = request(host, SCRUB, head, 8, NULL, 0);
    }
    return status;
}

/* Writes pixels of codes, packed into bytes, each pixel from a byte of its own on. */
static int write_input(downshift_host *host, const downshift_model *model,
                       const downshift_gear *gear, const uint8_t *codes)
{
    uint32_t slot = gear->input_bits > 4 ? 8 : gear->input_bits > 2 ? 4 : 2;
    uint32_t address = gear->input_address, at = 0, channel = 0;
    uint32_t total = model->pixels * model->channels;
    while (at < total) {
        uint8_t head[3], part[PART];
        size_t count = 0;
        while (at < total && count < PART) {
            uint8_t byte = 0;
            for (uint32_t place = 0; place < 8 && channel < model->channels; place += slot) {
                byte |= (uint8_t)(codes[at++] << place);
                channel++;
            }
            if (channel == model->channels)
                channel = 0;
            part[count++] = byte;
        }
        put(head, address, 3);
        int status = request(host, WRITE, head, 3, part, count);
        if (status)
            return status;
        address += (uint32_t)count;
    }
    return 0;
}

int downshift_run_counted(downshift_host *host, const downshift_model *model, uint8_t width,
                          const uint8_t *codes, int32_t *logits, downshift_counters *counters)
{
    const downshift_gear *gear = NULL;
    for (int k = 0; k < model->gear_count; k++)
        if (model->gears[k].width == width)
            gear = &model->gears[k];
    if (!gear)
        return DOWNSHIFT_NO_SUCH_WIDTH;
    int status = write_input(host, model, gear, codes);
    if (!status)
        status = request(host, RUN, &width, 1, NULL, 0);
    if (status)
        return status;
    if (host->length != 23)
        return DOWNSHIFT_STRANGE;
    if (counters) {
        counters->cycles = get(host->content + 3, 4);
        counters->busy = get(host->content + 7, 4);
        counters->tile_load = get(host->content + 11, 4);
        counters->fetch = get(host->content + 15, 4);
        counters->weight_words = get(host->content + 19, 4);
    }
    for (uint32_t done = 0; done < model->classes;) {
        uint32_t count = model->classes - done < PART / 4 ? model->classes - done : PART / 4;
        uint8_t head[5];
        put(head, gear->logits_address + 4 * done, 3);
        put(head + 3, 4 * count, 2);
        status = request(host, READ, head, 5, NULL, 0);
        if (status)
            return status;
        if (host->length != 3 + 4 * count)
            return DOWNSHIFT_STRANGE;
        for (uint32_t k = 0; k < count; k++)
            logits[done + k] = (int32_t)get(host->content + 3 + 4 * k, 4);
        done += count;
    }
    return 0;
}

int downshift_run(downshift_host *host, const downshift_model *model, uint8_t width,
                  const uint8_t *codes, int32_t *logits)
{
    return downshift_run_counted(host, model, width, codes, logits, NULL);
}
