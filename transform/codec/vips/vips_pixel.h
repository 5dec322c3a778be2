// Operations on pixels. Each makes a new image from one image. Temporary images belong to a context object that is
// released at the end.
#ifndef GOLDCREST_VIPS_PIXEL_H
#define GOLDCREST_VIPS_PIXEL_H

#include "vips_reduce.h"

GC_FN int gc_memory(VipsImage *in, VipsImage **out) {
	*out = vips_image_copy_memory(in);
	return *out ? 0 : -1;
}

GC_FN int gc_extract(VipsImage *in, VipsImage **out, int left, int top, int width, int height) {
	return vips_extract_area(in, out, left, top, width, height, NULL);
}

// gc_back rounds a float image to the sample format from before premultiplication.
GC_FN int gc_back(VipsImage *in, VipsImage **out, VipsBandFormat format, VipsInterpretation as) {
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 3);
	int r = vips_unpremultiply(in, &t[0], NULL) || vips_rint(t[0], &t[1], NULL) || vips_cast(t[1], &t[2], format, NULL) ||
		vips_copy(t[2], out, "interpretation", as, NULL);
	g_object_unref(base);
	return r;
}

// gc_plain unpacks packed samples, as in an 8-bit Lab TIFF, to sRGB, and divides premultiplied colours by alpha. The
// direct conversion from packed samples to sRGB would add a pattern of dots.
GC_FN int gc_plain(VipsImage *in, VipsImage **out, int multiplied) {
	if (vips_image_get_coding(in) == VIPS_CODING_LABQ) {
		VipsImage *lab = NULL;
		int r = vips_LabQ2Lab(in, &lab, NULL) || vips_colourspace(lab, out, VIPS_INTERPRETATION_sRGB, NULL);
		if (lab)
			g_object_unref(lab);
		return r;
	}
	if (multiplied && vips_image_hasalpha(in))
		return gc_back(in, out, vips_image_get_format(in), vips_image_get_interpretation(in));
	return vips_copy(in, out, NULL);
}

// gc_resize scales by exact factors. Transparent pixels have no colour, so it premultiplies alpha before and divides by
// it after.
GC_FN int gc_resize(VipsImage *in, VipsImage **out, double hscale, double vscale) {
	if (gc_reduces(in, hscale, vscale))
		return gc_reduce(in, out, hscale, vscale);
	if (!vips_image_hasalpha(in))
		return vips_resize(in, out, hscale, "vscale", vscale, NULL);
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 2);
	int r = vips_premultiply(in, &t[0], NULL) || vips_resize(t[0], &t[1], hscale, "vscale", vscale, NULL) ||
		gc_back(t[1], out, vips_image_get_format(in), vips_image_get_interpretation(in));
	g_object_unref(base);
	return r;
}

// gc_srgb converts to 8-bit sRGB by the embedded profile, or by libvips' default for a device space without one; grey
// stays one band. An unusable profile is ignored, as browsers do.
GC_FN int gc_srgb(VipsImage *in, VipsImage **out, int use_profile, int grey) {
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 4);
	int r = -1;
	if (use_profile && vips_image_get_typeof(in, VIPS_META_ICC_NAME)) {
		r = vips_icc_transform(in, &t[0], "srgb", "embedded", TRUE, "depth", 8, NULL);
		if (r)
			vips_error_clear();
	}
	if (r && !vips_copy(in, &t[3], NULL)) {
		vips_image_remove(t[3], VIPS_META_ICC_NAME); // vips_colourspace uses it too, for CMYK.
		in = t[3];
	}
	if (r)
		r = vips_colourspace(in, &t[0], grey ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB, NULL);
	if (!r && grey && vips_image_guess_interpretation(t[0]) != VIPS_INTERPRETATION_B_W)
		r = vips_colourspace(t[0], &t[1], VIPS_INTERPRETATION_B_W, NULL);
	else if (!r)
		r = vips_copy(t[0], &t[1], NULL);
	r = r || vips_cast(t[1], out, VIPS_FORMAT_UCHAR, NULL);
	g_object_unref(base);
	return r;
}

GC_FN int gc_mark_cmyk(VipsImage *in, VipsImage **out) {
	return vips_copy(in, out, "interpretation", VIPS_INTERPRETATION_CMYK, NULL);
}

// gc_orient turns clockwise by quarter turns, then mirrors left to right. The image must be in memory: it is copied in
// squares that fit the processor's cache.
GC_FN int gc_orient(VipsImage *in, VipsImage **out, int turns, int mirror) {
	enum { SQUARE = 32 };
	const int w = turns % 2 ? in->Ysize : in->Xsize, h = turns % 2 ? in->Xsize : in->Ysize;
	const ptrdiff_t pixel = VIPS_IMAGE_SIZEOF_PEL(in), line = VIPS_IMAGE_SIZEOF_LINE(in);
	const VipsPel *from = (const VipsPel *) vips_image_get_data(in);
	VipsImage *m = vips_image_new_memory();
	vips_image_init_fields(m, w, h, in->Bands, in->BandFmt, in->Coding, in->Type, in->Xres, in->Yres);
	if (!from || vips_image_write_prepare(m)) {
		g_object_unref(m);
		return -1;
	}
	// The pixel at x, y comes from origin + x * right + y * down.
	const ptrdiff_t last = (in->Ysize - 1) * line, end = (in->Xsize - 1) * pixel;
	const ptrdiff_t origins[] = {0, last, last + end, end}, rights[] = {pixel, -line, -pixel, line}, downs[] = {line, pixel, -line, -pixel};
	ptrdiff_t origin = origins[turns], right = rights[turns], down = downs[turns];
	if (mirror) {
		origin += (w - 1) * right;
		right = -right;
	}
	for (int y0 = 0; y0 < h; y0 += SQUARE)
		for (int x0 = 0; x0 < w; x0 += SQUARE)
			for (int y = y0; y < VIPS_MIN(y0 + SQUARE, h); y++) {
				VipsPel *to = VIPS_IMAGE_ADDR(m, x0, y);
				const VipsPel *p = from + origin + x0 * right + y * down;
				const int n = VIPS_MIN(SQUARE, w - x0);
				if (pixel == 3)
					for (int x = 0; x < n; x++, p += right, to += 3)
						to[0] = p[0], to[1] = p[1], to[2] = p[2];
				else
					for (int x = 0; x < n; x++, p += right, to += pixel)
						memcpy(to, p, pixel);
			}
	*out = m;
	return 0;
}

// gc_attention crops to the part of the picture that draws the most attention, and returns its position.
GC_FN int gc_attention(VipsImage *in, VipsImage **out, int width, int height, int *left, int *top) {
	if (vips_smartcrop(in, out, width, height, "interesting", VIPS_INTERESTING_ATTENTION, NULL))
		return -1;
	*left = -vips_image_get_xoffset(*out);
	*top = -vips_image_get_yoffset(*out);
	return 0;
}

// gc_find_trim finds the border. background is one sRGB colour, or NULL for the colour of the top-left pixel.
GC_FN int gc_find_trim(VipsImage *in, double threshold, double *background, int *left, int *top, int *width, int *height) {
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 2);
	VipsArrayDouble *magenta = vips_array_double_newv(3, 255.0, 0.0, 255.0);
	double *corner = NULL;
	int n;
	int r = vips_colourspace(in, &t[0], VIPS_INTERPRETATION_sRGB, NULL);
	VipsImage *flat = t[0];
	if (!r && vips_image_hasalpha(flat)) {
		r = vips_flatten(flat, &t[1], "background", magenta, NULL);
		flat = t[1];
	}
	if (!r && !background) {
		r = vips_getpoint(flat, &corner, &n, 0, 0, NULL);
		background = corner;
	}
	if (!r) {
		VipsArrayDouble *bg = vips_array_double_new(background, 3);
		r = vips_find_trim(flat, left, top, width, height, "threshold", threshold, "background", bg, NULL);
		vips_area_unref(VIPS_AREA(bg));
	}
	g_free(corner);
	vips_area_unref(VIPS_AREA(magenta));
	g_object_unref(base);
	return r;
}

// gc_blur is a Gaussian blur. A wide blur is done at a smaller size, where it is cheap and looks the same.
GC_FN int gc_blur(VipsImage *in, VipsImage **out, double sigma) {
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 5);
	int width = vips_image_get_width(in), height = vips_image_get_height(in), alpha = vips_image_hasalpha(in), r = 0;
	double f = sigma > 16 ? sigma / 8 : 1;
	double w = VIPS_MAX(1, VIPS_RINT(width / f)), h = VIPS_MAX(1, VIPS_RINT(height / f));
	VipsImage *x = in;
	if (alpha) {
		r = vips_premultiply(x, &t[0], NULL);
		x = t[0];
	}
	if (!r && f > 1) {
		r = vips_resize(x, &t[1], w / width, "vscale", h / height, NULL);
		x = t[1];
	}
	r = r || vips_gaussblur(x, &t[2], sigma / f, NULL);
	x = t[2];
	if (!r && f > 1) {
		r = vips_resize(x, &t[3], width / w, "vscale", height / h, "kernel", VIPS_KERNEL_LINEAR, NULL);
		x = t[3];
	}
	if (!r && alpha)
		r = gc_back(x, out, vips_image_get_format(in), vips_image_get_interpretation(in));
	else if (!r)
		r = vips_copy(x, out, NULL);
	g_object_unref(base);
	return r;
}

GC_FN int gc_sharpen(VipsImage *in, VipsImage **out, double sigma) {
	VipsImage *sharp = NULL;
	if (vips_sharpen(in, &sharp, "sigma", sigma, NULL))
		return -1;
	int r = vips_cast(sharp, out, vips_image_get_format(in), NULL);
	g_object_unref(sharp);
	return r;
}

// gc_pixelate gives every block of side x side pixels its mean colour; blocks at the right and lower edge may be
// smaller.
GC_FN int gc_pixelate(VipsImage *in, VipsImage **out, int side) {
	VipsImage *base = vips_image_new();
	VipsImage **t = (VipsImage **) vips_object_local_array(VIPS_OBJECT(base), 6);
	int width = vips_image_get_width(in), height = vips_image_get_height(in), alpha = vips_image_hasalpha(in);
	int w = (width + side - 1) / side * side, h = (height + side - 1) / side * side;
	int r = vips_embed(in, &t[0], 0, 0, w, h, "extend", VIPS_EXTEND_COPY, NULL);
	if (!r && alpha)
		r = vips_premultiply(t[0], &t[1], NULL);
	else if (!r)
		r = vips_copy(t[0], &t[1], NULL);
	r = r || vips_shrink(t[1], &t[2], side, side, NULL);
	if (!r && alpha)
		r = gc_back(t[2], &t[3], vips_image_get_format(in), vips_image_get_interpretation(in));
	else if (!r)
		r = vips_copy(t[2], &t[3], NULL);
	r = r || vips_zoom(t[3], &t[4], side, side, NULL) || vips_extract_area(t[4], out, 0, 0, width, height, NULL);
	g_object_unref(base);
	return r;
}

// gc_add_alpha adds an opaque alpha channel if there is none.
GC_FN int gc_add_alpha(VipsImage *in, VipsImage **out) {
	return vips_image_hasalpha(in) ? vips_copy(in, out, NULL) : vips_bandjoin_const1(in, out, 255, NULL);
}

// gc_drop_alpha keeps only the colour bands.
GC_FN int gc_drop_alpha(VipsImage *in, VipsImage **out) {
	return vips_extract_band(in, out, 0, "n", vips_image_get_bands(in) - 1, NULL);
}

// gc_opaque sets *opaque to 1 if all alpha samples are full.
GC_FN int gc_opaque(VipsImage *in, int *opaque) {
	VipsImage *alpha = NULL;
	double lowest = 0;
	int r = vips_extract_band(in, &alpha, vips_image_get_bands(in) - 1, NULL) || vips_min(alpha, &lowest, NULL);
	if (alpha)
		g_object_unref(alpha);
	*opaque = lowest >= 255;
	return r;
}

// gc_embed places the picture on a larger canvas of one colour, which has one value per band.
GC_FN int gc_embed(VipsImage *in, VipsImage **out, int x, int y, int width, int height, double *colour) {
	VipsArrayDouble *bg = vips_array_double_new(colour, vips_image_get_bands(in));
	int r = vips_embed(in, out, x, y, width, height, "extend", VIPS_EXTEND_BACKGROUND, "background", bg, NULL);
	vips_area_unref(VIPS_AREA(bg));
	return r;
}

// gc_mark prepares a watermark: 8-bit sRGB with its alpha multiplied by opacity.
GC_FN int gc_mark(VipsImage *in, VipsImage **out, double opacity) {
	double by[4] = {1, 1, 1, opacity}, none[4] = {0, 0, 0, 0};
	VipsImage *scaled;
	if (vips_linear(in, &scaled, by, none, 4, NULL))
		return -1;
	int r = vips_cast_uchar(scaled, out, NULL);
	g_object_unref(scaled);
	return r;
}

// gc_over draws a watermark over a picture of the same size with three or four bands, which keeps its bands.
GC_FN int gc_over(VipsImage *in, VipsImage *mark, VipsImage **out) {
	VipsImage *mixed, *bytes;
	if (vips_composite2(in, mark, &mixed, VIPS_BLEND_MODE_OVER, "compositing_space", VIPS_INTERPRETATION_sRGB, NULL))
		return -1;
	int r = vips_cast_uchar(mixed, &bytes, NULL);
	g_object_unref(mixed);
	if (r)
		return -1;
	r = vips_extract_band(bytes, out, 0, "n", vips_image_get_bands(in), NULL);
	g_object_unref(bytes);
	return r;
}

GC_FN int gc_replicate(VipsImage *in, VipsImage **out, int across, int down) {
	return vips_replicate(in, out, across, down, NULL);
}

GC_FN int gc_flatten(VipsImage *in, VipsImage **out, double *colour) {
	VipsArrayDouble *bg = vips_array_double_new(colour, vips_image_get_bands(in) - 1);
	int r = vips_flatten(in, out, "background", bg, NULL);
	vips_area_unref(VIPS_AREA(bg));
	return r;
}

// gc_to_rgb converts a grey picture to three colour bands, and keeps alpha.
GC_FN int gc_to_rgb(VipsImage *in, VipsImage **out) { return vips_colourspace(in, out, VIPS_INTERPRETATION_sRGB, NULL); }

// gc_touch decodes every pixel without keeping it.
GC_FN int gc_touch(VipsImage *in) {
	double mean;
	return vips_avg(in, &mean, NULL);
}

// gc_join stacks the frames of an animation.
GC_FN int gc_join(VipsImage **frames, int n, VipsImage **out) { return vips_arrayjoin(frames, out, n, "across", 1, NULL); }

#endif
