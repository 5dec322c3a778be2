// JPEG with our own choice of coefficients; libjpeg writes the Huffman codes and the file (ADR 26). Pixels arrive row
// by row, and a strip of them is kept. The coefficients of the whole picture are kept until its end, two bytes each.
// libjpeg does the same for optimised Huffman codes.
#ifndef GOLDCREST_JPEG_WRITE_H
#define GOLDCREST_JPEG_WRITE_H

#include <vips/vips.h>
#include "jpeg_block.h"
#include "rewrite_jpeg.h"

enum { GC_RING = 16 }; // lines of chroma that are kept: those of a row of blocks, and one before and after

typedef struct {
	struct jpeg_compress_struct info;
	GcJpegError failure;
	int width, bands, side; // side: pixels per chroma sample, horizontally and vertically
	int across, down;       // macroblocks
	int rows;               // rows received
	size_t pitch[2];        // samples in a line of luma, and of chroma
	float *luma;            // the lines of one row of macroblocks
	float *ring[2], *eased; // chroma, and a row of chroma blocks before the transform
	float *line[2];         // chroma of one line of pixels
	uint8_t *last;          // last line of pixels
	float *memory;
	JBLOCKARRAY blocks[3];
	GcQuant quant[3];
} GcJpeg;

static void gc_jpeg_failed(j_common_ptr info) {
	char text[JMSG_LENGTH_MAX];
	info->err->format_message(info, text);
	vips_error("jpeg", "%s", text);
	longjmp(((GcJpegError *) info->err)->out, 1);
}

static void gc_jpeg_silent(j_common_ptr info, int level) {}

// gc_jpeg_planes converts a line of pixels to luma and chroma; the last pixel is repeated up to the pitch.
static void gc_jpeg_planes(const GcJpeg *j, const uint8_t *p, float *y, float *cb, float *cr) {
	const int n = j->width;
	if (j->bands == 1)
		for (int x = 0; x < n; x++)
			y[x] = p[x] - 128.0f;
	else
		for (int x = 0; x < n; x++) {
			const float r = p[3 * x], g = p[3 * x + 1], b = p[3 * x + 2];
			y[x] = 0.299f * r + 0.587f * g + 0.114f * b - 128;
			cb[x] = -0.168735892f * r - 0.331264108f * g + 0.5f * b;
			cr[x] = 0.5f * r - 0.418687589f * g - 0.081312411f * b;
		}
	for (size_t x = n; x < j->pitch[0]; x++) {
		y[x] = y[n - 1];
		if (j->bands > 1)
			cb[x] = cb[n - 1], cr[x] = cr[n - 1];
	}
}

// gc_jpeg_blocks quantises a row of blocks.
static void gc_jpeg_blocks(GcJpeg *j, int component, const float *lines, size_t pitch, int row) {
	const GcQuant *q = &j->quant[component];
	const int n = (int) (pitch / 8);
	for (int x = 0; x < n; x++) {
		float dct[64];
		gc_dct(lines + 8 * x, pitch, dct);
		gc_keep(q, dct, q->lambda * gc_masked(dct), j->blocks[component][row][x]);
	}
}

// gc_jpeg_colour quantises a row of blocks of both chroma components. Halved chroma is sharpened to compensate the
// decoder's interpolation.
static void gc_jpeg_colour(GcJpeg *j, int row) {
	const int n = (int) j->pitch[1], lines = 8 * j->down;
	const float sharp = j->side == 2 ? GC_SHARP : 0;
	for (int c = 0; c < 2; c++) {
		for (int y = 8 * row; y < 8 * row + 8; y++) {
			const float *at = j->ring[c] + (size_t) (y % GC_RING) * n;
			const float *above = y > 0 ? j->ring[c] + (size_t) ((y - 1) % GC_RING) * n : at;
			const float *below = y + 1 < lines ? j->ring[c] + (size_t) ((y + 1) % GC_RING) * n : at;
			float *to = j->eased + (size_t) (y % 8) * n;
			to[0] = at[0] + sharp * (3 * at[0] - at[1] - above[0] - below[0]);
			for (int x = 1; x < n - 1; x++)
				to[x] = at[x] + sharp * (4 * at[x] - at[x - 1] - at[x + 1] - above[x] - below[x]);
			to[n - 1] = at[n - 1] + sharp * (3 * at[n - 1] - at[n - 2] - above[n - 1] - below[n - 1]);
		}
		gc_jpeg_blocks(j, c + 1, j->eased, n, row);
	}
}

// gc_jpeg_fold adds a line of chroma to the ring.
static void gc_jpeg_fold(GcJpeg *j, int row) {
	const size_t n = j->pitch[1];
	for (int c = 0; c < 2; c++) {
		float *to = j->ring[c] + (size_t) (row / j->side % GC_RING) * n;
		const float *from = j->line[c];
		if (j->side == 1)
			memcpy(to, from, n * sizeof *to);
		else if (row % 2 == 0)
			for (size_t x = 0; x < n; x++)
				to[x] = 0.25f * (from[2 * x] + from[2 * x + 1]);
		else
			for (size_t x = 0; x < n; x++)
				to[x] += 0.25f * (from[2 * x] + from[2 * x + 1]);
	}
}

// gc_jpeg_row adds the next line of pixels.
static void gc_jpeg_row(GcJpeg *j, const uint8_t *pixels) {
	const int strip = 8 * j->side, y = j->rows++, at = y % strip;
	gc_jpeg_planes(j, pixels, j->luma + (size_t) at * j->pitch[0], j->line[0], j->line[1]);
	if (at == strip - 1)
		for (int i = 0; i < j->side; i++)
			gc_jpeg_blocks(j, 0, j->luma + (size_t) 8 * i * j->pitch[0], j->pitch[0], y / strip * j->side + i);
	if (j->bands == 1)
		return;
	gc_jpeg_fold(j, y);
	const int colours = (y + 1) / j->side; // complete lines of chroma
	if ((y + 1) % j->side == 0 && colours % 8 == 1 && colours > 8)
		gc_jpeg_colour(j, colours / 8 - 1);
}

// gc_jpeg_end repeats the last line of pixels down to the end of the last blocks.
static void gc_jpeg_end(GcJpeg *j) {
	while (j->rows < 8 * j->side * j->down)
		gc_jpeg_row(j, j->last);
	if (j->bands > 1)
		gc_jpeg_colour(j, j->down - 1);
}

static int gc_jpeg_strip(VipsRegion *region, VipsRect *area, void *to) {
	GcJpeg *j = to;
	for (int y = area->top; y < area->top + area->height; y++)
		gc_jpeg_row(j, VIPS_REGION_ADDR(region, 0, y));
	memcpy(j->last, VIPS_REGION_ADDR(region, 0, area->top + area->height - 1), (size_t) j->width * j->bands);
	return 0;
}

// gc_jpeg_room allocates the line buffers.
static int gc_jpeg_room(GcJpeg *j) {
	j->pitch[0] = (size_t) j->across * 8 * j->side;
	j->pitch[1] = (size_t) j->across * 8;
	const size_t luma = j->pitch[0] * 8 * j->side, ring = j->pitch[1] * GC_RING, eased = j->pitch[1] * 8;
	const size_t colour = j->bands == 1 ? 0 : 2 * ring + eased + 2 * j->pitch[0];
	j->memory = malloc((luma + colour) * sizeof(float) + (size_t) j->width * j->bands);
	if (!j->memory) {
		vips_error("jpeg", "no memory");
		return -1;
	}
	j->luma = j->memory;
	if (colour) {
		j->ring[0] = j->luma + luma;
		j->ring[1] = j->ring[0] + ring;
		j->eased = j->ring[1] + ring;
		j->line[0] = j->eased + eased;
		j->line[1] = j->line[0] + j->pitch[0];
	}
	j->last = (uint8_t *) (j->luma + luma + colour);
	return 0;
}

// gc_jpeg_begin lets libjpeg write the file header, and allocates the coefficients.
static void gc_jpeg_begin(GcJpeg *j, int height, int q, unsigned char **buf, unsigned long *len) {
	struct jpeg_compress_struct *c = &j->info;
	jpeg_mem_dest(c, buf, len);
	c->image_width = (JDIMENSION) j->width;
	c->image_height = (JDIMENSION) height;
	c->input_components = j->bands;
	c->in_color_space = j->bands == 1 ? JCS_GRAYSCALE : JCS_YCbCr;
	jpeg_set_defaults(c);
	jvirt_barray_ptr coefficients[3];
	for (int i = 0; i < j->bands; i++) {
		unsigned steps[64];
		gc_jpeg_quant(i, j->side == 1, q, steps, &j->quant[i]);
		jpeg_add_quant_table(c, i, steps, 100, TRUE);
		c->comp_info[i].quant_tbl_no = i;
		const int side = i == 0 && j->bands == 3 ? j->side : 1;
		c->comp_info[i].h_samp_factor = c->comp_info[i].v_samp_factor = side;
		coefficients[i] = c->mem->request_virt_barray((j_common_ptr) c, JPOOL_IMAGE, FALSE, j->across * side, j->down * side, j->down * side);
	}
	c->optimize_coding = TRUE;
	gc_jpeg_progress(c);
	jpeg_write_coefficients(c, coefficients);
	for (int i = 0; i < j->bands; i++) {
		const int rows = j->down * (i == 0 && j->bands == 3 ? j->side : 1);
		j->blocks[i] = c->mem->access_virt_barray((j_common_ptr) c, coefficients[i], 0, rows, TRUE);
	}
}

// gc_jpeg encodes an 8-bit picture with one or three bands. *buf is freed by g_free.
static __attribute__((unused)) int gc_jpeg(VipsImage *in, int q, int full_chroma, void **buf, size_t *len) {
	if (in->BandFmt != VIPS_FORMAT_UCHAR || (in->Bands != 1 && in->Bands != 3)) {
		vips_error("jpeg", "%d bands of format %d", in->Bands, in->BandFmt);
		return -1;
	}
	unsigned char *bytes = NULL; // from malloc, as with g_malloc
	unsigned long length = 0;
	GcJpeg j = {.width = in->Xsize, .bands = in->Bands, .side = full_chroma || in->Bands == 1 ? 1 : 2};
	j.across = (in->Xsize + 8 * j.side - 1) / (8 * j.side);
	j.down = (in->Ysize + 8 * j.side - 1) / (8 * j.side);
	j.info.err = jpeg_std_error(&j.failure.base);
	j.failure.base.error_exit = gc_jpeg_failed;
	j.failure.base.emit_message = gc_jpeg_silent;
	volatile int bad = 1;
	if (!setjmp(j.failure.out)) {
		jpeg_create_compress(&j.info);
		gc_jpeg_begin(&j, in->Ysize, q, &bytes, &length);
		bad = gc_jpeg_room(&j) || vips_sink_disc(in, gc_jpeg_strip, &j);
		if (!bad) {
			gc_jpeg_end(&j);
			jpeg_finish_compress(&j.info);
		}
	} else
		bad = 1;
	if (bad && bytes)
		j.info.dest->term_destination(&j.info); // updates the address of the bytes
	jpeg_destroy_compress(&j.info);
	free(j.memory);
	if (bad) {
		free(bytes);
		return -1;
	}
	*buf = bytes;
	*len = length;
	return 0;
}

#endif
