// The trial encode, by libjpeg alone: libvips' pipelines around it took three times as long as the encode.
#ifndef GOLDCREST_TRIAL_H
#define GOLDCREST_TRIAL_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <jpeglib.h>

typedef struct {
	struct jpeg_error_mgr base;
	jmp_buf out;
} GcTrialError;

static void gc_trial_failed(j_common_ptr info) { longjmp(((GcTrialError *) info->err)->out, 1); }

static void gc_trial_silent(j_common_ptr info, int level) {}

// gc_trial encodes three bands with libjpeg's defaults, and decodes them into back. It returns the bytes of the file; 0
// without memory.
static size_t gc_trial(const uint8_t *rgb, uint8_t *back, int width, int height, int q) {
	struct jpeg_compress_struct out = {0};
	struct jpeg_decompress_struct in = {0};
	GcTrialError failure;
	unsigned char *file = NULL;
	unsigned long length = 0;
	const size_t line = (size_t) width * 3;
	out.err = in.err = jpeg_std_error(&failure.base);
	failure.base.error_exit = gc_trial_failed;
	failure.base.emit_message = gc_trial_silent;
	if (setjmp(failure.out)) {
		if (out.dest)
			out.dest->term_destination(&out); // updates the address of the bytes
		length = 0;
	} else {
		jpeg_create_compress(&out);
		jpeg_mem_dest(&out, &file, &length);
		out.image_width = (JDIMENSION) width;
		out.image_height = (JDIMENSION) height;
		out.input_components = 3;
		out.in_color_space = JCS_RGB;
		jpeg_set_defaults(&out);
		jpeg_set_quality(&out, q, TRUE);
		jpeg_start_compress(&out, TRUE);
		while (out.next_scanline < out.image_height) {
			JSAMPROW row = (JSAMPROW) rgb + out.next_scanline * line;
			jpeg_write_scanlines(&out, &row, 1);
		}
		jpeg_finish_compress(&out);
		jpeg_create_decompress(&in);
		jpeg_mem_src(&in, file, length);
		jpeg_read_header(&in, TRUE);
		jpeg_start_decompress(&in);
		while (in.output_scanline < in.output_height) {
			JSAMPROW row = back + in.output_scanline * line;
			jpeg_read_scanlines(&in, &row, 1);
		}
		jpeg_finish_decompress(&in);
	}
	jpeg_destroy_decompress(&in);
	jpeg_destroy_compress(&out);
	free(file);
	return length;
}

#endif
