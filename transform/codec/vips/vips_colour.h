// Conversion of colours that a file declares by numbers, as primaries and a tone curve, instead of an ICC profile.
#ifndef GOLDCREST_VIPS_COLOUR_H
#define GOLDCREST_VIPS_COLOUR_H

#include "vips_load.h"
#include <math.h>
#include <stdint.h>

enum { GC_SHADES = 1 << 14, GC_TONES = 1 << 12 };

// GcColour describes how samples are converted to sRGB. Light is 1 at the white of sRGB.
typedef struct {
	int hdr;                   // light above 1 is mapped down by tone
	int hlg;                   // scene light, from which a display derives its own by the brightness of each pixel
	float matrix[9];           // from the file's primaries to sRGB's
	float weight[3];           // the brightness of the file's primaries
	float peak;                // the brightest light that is distinguished
	float gain;                // HLG: display light for scene light of 1
	float tone[GC_TONES];      // factors of light, by the square root of light/peak
	uint8_t shade[GC_SHADES];  // sRGB of light from 0 to 1
	float light[];             // of each sample value
} GcColour;

GC_FN uint8_t gc_shade(const GcColour *c, float v) {
	return c->shade[(int) (fminf(fmaxf(v, 0), 1) * (GC_SHADES - 1) + 0.5f)];
}

GC_FN void gc_colour_pixel(const GcColour *c, float r, float g, float b, uint8_t *to) {
	if (c->hlg) {
		const float y = c->weight[0] * r + c->weight[1] * g + c->weight[2] * b, by = c->gain * powf(fmaxf(y, 0), 0.2f);
		r *= by, g *= by, b *= by;
	}
	if (c->hdr) {
		const float most = fminf(fmaxf(r, fmaxf(g, b)), c->peak), by = c->tone[(int) (sqrtf(most / c->peak) * (GC_TONES - 1) + 0.5f)];
		r *= by, g *= by, b *= by;
	}
	const float *m = c->matrix;
	to[0] = gc_shade(c, m[0] * r + m[1] * g + m[2] * b);
	to[1] = gc_shade(c, m[3] * r + m[4] * g + m[5] * b);
	to[2] = gc_shade(c, m[6] * r + m[7] * g + m[8] * b);
}

GC_FN int gc_colour_lines(VipsRegion *out, void *seq, void *in, void *colour, gboolean *stop) {
	const GcColour *c = colour;
	VipsRegion *from = seq;
	const VipsRect *r = &out->valid;
	const int bands = out->im->Bands, wide = from->im->BandFmt == VIPS_FORMAT_USHORT, alpha = bands == 2 || bands == 4, grey = bands < 3;
	if (vips_region_prepare(from, r))
		return -1;
	for (int y = r->top; y < VIPS_RECT_BOTTOM(r); y++) {
		const VipsPel *p = VIPS_REGION_ADDR(from, r->left, y);
		uint8_t *to = VIPS_REGION_ADDR(out, r->left, y);
		for (int x = 0; x < r->width; x++, to += bands) {
			int v[4];
			for (int i = 0; i < bands; i++)
				v[i] = wide ? ((const uint16_t *) p)[x * bands + i] : p[x * bands + i];
			if (grey)
				to[0] = gc_shade(c, c->light[v[0]]);
			else
				gc_colour_pixel(c, c->light[v[0]], c->light[v[1]], c->light[v[2]], to);
			if (alpha)
				to[bands - 1] = wide ? (v[bands - 1] * 255 + 32767) / 65535 : v[bands - 1];
		}
	}
	return 0;
}

// gc_colour converts a picture of 1 to 4 bands and 8 or 16 bits to 8-bit sRGB or grey. colour must come from g_malloc;
// the image takes ownership.
GC_FN int gc_colour(VipsImage *in, VipsImage **out, GcColour *colour) {
	VipsImage *o = vips_image_new();
	g_object_ref(in);
	vips_object_local(o, in);
	g_object_set_data_full(G_OBJECT(o), "goldcrest-colour", colour, g_free);
	if (in->Coding != VIPS_CODING_NONE || in->Bands > 4 || (in->BandFmt != VIPS_FORMAT_UCHAR && in->BandFmt != VIPS_FORMAT_USHORT)) {
		vips_error("goldcrest", "colours of another kind");
		g_object_unref(o);
		return -1;
	}
	int failed = vips_image_pipelinev(o, VIPS_DEMAND_STYLE_THINSTRIP, in, NULL);
	if (!failed) {
		o->BandFmt = VIPS_FORMAT_UCHAR;
		o->Type = in->Bands < 3 ? VIPS_INTERPRETATION_B_W : VIPS_INTERPRETATION_sRGB;
		failed = vips_image_generate(o, vips_start_one, gc_colour_lines, vips_stop_one, in, colour);
	}
	if (failed) {
		g_object_unref(o);
		return -1;
	}
	*out = o;
	return 0;
}

#endif
