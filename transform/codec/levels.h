// Few levels: a picture whose samples take only some values. Print on paper keeps its score with four of them.
#ifndef GOLDCREST_LEVELS_H
#define GOLDCREST_LEVELS_H

#include "probe.h"

// gc_histogram counts the samples of an 8-bit picture in memory, all bands together.
GC_FN int gc_histogram(VipsImage *in, uint64_t count[256]) {
	if (vips_image_wio_input(in))
		return -1;
	const uint8_t *p = VIPS_IMAGE_ADDR(in, 0, 0);
	size_t n = VIPS_IMAGE_SIZEOF_IMAGE(in);
	for (size_t i = 0; i < n; i++)
		count[p[i]]++;
	return 0;
}

// gc_map copies an 8-bit picture into memory with its samples replaced by a table's.
GC_FN int gc_map(VipsImage *in, VipsImage **out, const uint8_t table[256]) {
	VipsImage *lut = vips_image_new_from_memory_copy(table, 256, 256, 1, 1, VIPS_FORMAT_UCHAR);
	if (!lut)
		return -1;
	VipsImage *mapped = NULL;
	int r = vips_maplut(in, &mapped, lut, NULL);
	if (!r) {
		*out = vips_image_copy_memory(mapped);
		r = *out ? 0 : -1;
		g_object_unref(mapped);
	}
	g_object_unref(lut);
	return r;
}

// gc_shades is the largest share of pixels, among the tiles of a picture, which are like those to their left and above, and have changed by 8
// or more: faces, shaded boxes and faint grounds, but not the edges of letters. Both are in memory, of one size, and at least a tile wide and high.
GC_FN int gc_shades(VipsImage *in, VipsImage *few, double *share) {
	if (vips_image_wio_input(in) || vips_image_wio_input(few))
		return -1;
	int width = vips_image_get_width(in), height = vips_image_get_height(in), bands = vips_image_get_bands(in), most = 0;
	size_t line = (size_t) width * bands;
	const uint8_t *a = VIPS_IMAGE_ADDR(in, 0, 0), *b = VIPS_IMAGE_ADDR(few, 0, 0);
	for (int down = 0; down < height; down += GC_TILE)
		for (int across = 0; across < width; across += GC_TILE) {
			int ty = VIPS_MIN(down, height - GC_TILE), tx = VIPS_MIN(across, width - GC_TILE), n = 0; // The last ones overlap with those before.
			for (int y = ty + 1; y < ty + GC_TILE; y++) {
				const uint8_t *p = a + y * line + tx * bands, *q = b + y * line + tx * bands;
				for (int x = bands; x < GC_TILE * bands; x++)
					n += abs(p[x] - p[x - bands]) < 8 & abs(p[x] - p[x - line]) < 8 & abs(p[x] - q[x]) >= 8;
			}
			most = VIPS_MAX(most, n);
		}
	*share = (double) most / ((GC_TILE - 1) * (GC_TILE - 1) * bands);
	return 0;
}

// gc_colours counts the colours of a picture in memory, of three bands or one, up to 17.
GC_FN int gc_colours(VipsImage *in) {
	uint32_t seen[17];
	if (vips_image_wio_input(in))
		return -1;
	const uint8_t *p = VIPS_IMAGE_ADDR(in, 0, 0);
	int bands = vips_image_get_bands(in), n = 0;
	for (guint64 i = 0; i < VIPS_IMAGE_N_PELS(in) && n < 17; i++, p += bands) {
		uint32_t c = bands < 3 ? p[0] : (uint32_t) p[0] << 16 | p[1] << 8 | p[2];
		int at = 0;
		while (at < n && seen[at] != c)
			at++;
		if (at == n)
			seen[n++] = c;
	}
	return n;
}

#endif
