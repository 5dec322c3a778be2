// Rewriting JPEGs: the coefficients are read and written again, so that only they, the quantisation tables that they
// use and the frame header remain.
#ifndef GOLDCREST_REWRITE_JPEG_H
#define GOLDCREST_REWRITE_JPEG_H

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jpeglib.h>
#include <jerror.h>

// The scans of the JPEGs that we write. Values are sent complete: sending their last bits later costs more than it
// saves in such small files.
static const jpeg_scan_info gc_colour_scans[] = {
	{3, {0, 1, 2}, 0, 0, 0, 0}, {1, {0}, 1, 2, 0, 0}, {1, {2}, 1, 63, 0, 0}, {1, {1}, 1, 63, 0, 0}, {1, {0}, 3, 63, 0, 0},
};
static const jpeg_scan_info gc_grey_scans[] = {
	{1, {0}, 0, 0, 0, 0}, {1, {0}, 1, 2, 0, 0}, {1, {0}, 3, 63, 0, 0},
};

// gc_jpeg_progress chooses the scans of a picture. Its components must be set.
static void gc_jpeg_progress(j_compress_ptr c) {
	switch (c->num_components) {
	case 1:
		c->scan_info = gc_grey_scans;
		c->num_scans = sizeof gc_grey_scans / sizeof *gc_grey_scans;
		return;
	case 3:
		c->scan_info = gc_colour_scans;
		c->num_scans = sizeof gc_colour_scans / sizeof *gc_colour_scans;
		return;
	}
	jpeg_simple_progression(c);
}

typedef struct {
	struct jpeg_error_mgr base;
	jmp_buf out;
} GcJpegError;

static void gc_jpeg_exit(j_common_ptr info) { longjmp(((GcJpegError *) info->err)->out, 1); }

// A warning says that the data is damaged: another decoder may show it differently. Extraneous bytes are only left out.
static void gc_jpeg_message(j_common_ptr info, int level) {
	if (level < 0 && info->err->msg_code != JWRN_EXTRANEOUS_DATA)
		gc_jpeg_exit(info);
}

// gc_jpeg_refined reports whether the scans send every coefficient to its last bit. Decoders smooth coefficients that
// are not.
static int gc_jpeg_refined(j_decompress_ptr in) {
	if (!in->progressive_mode)
		return 1;
	if (!in->coef_bits)
		return 0;
	for (int c = 0; c < in->num_components; c++)
		for (int k = 0; k < DCTSIZE2; k++)
			if (in->coef_bits[c][k] != 0)
				return 0;
	return 1;
}

// gc_jpeg_rewrite rewrites the picture into memory that the caller frees; 0 is success.
static __attribute__((unused)) int gc_jpeg_rewrite(const unsigned char *body, unsigned long size, unsigned char **result, unsigned long *length) {
	struct jpeg_decompress_struct in;
	struct jpeg_compress_struct out;
	GcJpegError error;
	unsigned long room = size + 65536;
	unsigned char *own = malloc(room); // the library does not free a buffer that it was given
	if (!own)
		return -1;
	*result = own;
	*length = room;
	memset(&in, 0, sizeof in);
	memset(&out, 0, sizeof out);
	in.err = out.err = jpeg_std_error(&error.base);
	error.base.error_exit = gc_jpeg_exit;
	error.base.emit_message = gc_jpeg_message;
	if (setjmp(error.out)) {
		jpeg_destroy_compress(&out);
		jpeg_destroy_decompress(&in);
		free(own);
		return -1;
	}
	jpeg_create_decompress(&in);
	jpeg_create_compress(&out);
	jpeg_mem_src(&in, (unsigned char *) body, size);
	jpeg_read_header(&in, TRUE);
	jvirt_barray_ptr *coefficients = jpeg_read_coefficients(&in);
	if (!gc_jpeg_refined(&in))
		gc_jpeg_exit((j_common_ptr) &in);
	jpeg_mem_dest(&out, result, length);
	jpeg_copy_critical_parameters(&in, &out);
	out.density_unit = 0;
	out.X_density = out.Y_density = 1;
	out.JFIF_major_version = out.JFIF_minor_version = 1;
	// Decoders derive the colour space from these markers, or without them from the component ids, which stay.
	out.write_JFIF_header = in.saw_JFIF_marker;
	out.write_Adobe_marker = in.saw_Adobe_marker;
	out.optimize_coding = TRUE;
	if (in.progressive_mode)
		gc_jpeg_progress(&out);
	jpeg_write_coefficients(&out, coefficients);
	jpeg_finish_compress(&out);
	jpeg_finish_decompress(&in);
	jpeg_destroy_compress(&out);
	jpeg_destroy_decompress(&in);
	if (*result != own)
		free(own);
	return 0;
}

#endif
