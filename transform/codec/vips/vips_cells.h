// Sums of a picture in a coarse grid, collected while its pixels pass to the encoder.
#ifndef GOLDCREST_VIPS_CELLS_H
#define GOLDCREST_VIPS_CELLS_H

#include "vips_load.h"

// GcCells holds, for each cell of a grid over a picture, the sums of its pixels. Colour is weighted by alpha, since a
// transparent pixel has no colour. It is reference-counted, since the image that fills it may outlive its readers.
typedef struct {
	int width, height; // of the picture; pixels below belong to another frame
	int across, down;  // cells
	int every;         // only every n-th line is used
	guint64 sums[];    // across x down x {red, green, blue, alpha, pixels}
} GcCells;

enum { GC_CELL = 5 };

GC_FN GcCells *gc_cells_new(int width, int height, int across, int down) {
	GcCells *c = g_atomic_rc_box_alloc0(sizeof(GcCells) + sizeof(guint64) * GC_CELL * across * down);
	c->width = width, c->height = height, c->across = across, c->down = down;
	c->every = VIPS_MAX(1, height / (2 * down)); // Two lines per cell are enough for a blur.
	return c;
}

GC_FN void gc_cells_free(void *c) { g_atomic_rc_box_release(c); }

// gc_cells_add adds the pixels x to end of line y; they begin at p.
GC_FN void gc_cells_add(GcCells *c, const VipsPel *p, int bands, int x, int end, int y) {
	if (y >= c->height || y % c->every)
		return;
	guint64 *row = c->sums + (size_t) GC_CELL * c->across * (y * (gint64) c->down / c->height);
	while (x < end) {
		const int cell = x * (gint64) c->across / c->width;
		const int to = VIPS_MIN(end, (int) (((cell + 1) * (gint64) c->width + c->across - 1) / c->across));
		guint32 r = 0, g = 0, b = 0, a = 0;
		const guint32 n = to - x;
		switch (bands) {
		case 1:
			for (; x < to; x++, p++)
				r += p[0];
			r *= 255, g = b = r, a = 255 * n;
			break;
		case 2:
			for (; x < to; x++, p += 2)
				r += p[0] * p[1], a += p[1];
			g = b = r;
			break;
		case 3:
			for (; x < to; x++, p += 3)
				r += p[0], g += p[1], b += p[2];
			r *= 255, g *= 255, b *= 255, a = 255 * n;
			break;
		default:
			for (; x < to; x++, p += 4)
				r += p[0] * p[3], g += p[1] * p[3], b += p[2] * p[3], a += p[3];
		}
		guint64 *sum = row + GC_CELL * cell;
		sum[0] += r, sum[1] += g, sum[2] += b, sum[3] += a, sum[4] += n;
	}
}

GC_FN int gc_cells_pass(VipsRegion *out, void *seq, void *a, void *b, gboolean *stop) {
	VipsRegion *in = (VipsRegion *) seq;
	const VipsRect *r = &out->valid;
	if (vips_region_prepare(in, r) || vips_region_region(out, in, r, r->left, r->top))
		return -1;
	for (int y = r->top; y < VIPS_RECT_BOTTOM(r); y++)
		gc_cells_add((GcCells *) b, VIPS_REGION_ADDR(in, r->left, y), out->im->Bands, r->left, VIPS_RECT_RIGHT(r), y);
	return 0;
}

// gc_cells_watch makes an image with the same pixels that adds them to c as they are read. They must have 8 bits and 1
// to 4 bands.
GC_FN int gc_cells_watch(VipsImage *in, VipsImage **out, GcCells *c) {
	VipsImage *o = vips_image_new();
	g_object_ref(in);
	vips_object_local(o, in);
	g_object_set_data_full(G_OBJECT(o), "goldcrest-cells", g_atomic_rc_box_acquire(c), gc_cells_free);
	if (vips_image_pipelinev(o, VIPS_DEMAND_STYLE_THINSTRIP, in, NULL) ||
		vips_image_generate(o, vips_start_one, gc_cells_pass, vips_stop_one, in, c)) {
		g_object_unref(o);
		return -1;
	}
	*out = o;
	return 0;
}

#endif
