// Drawing with librsvg and cairo. The libraries are opened by name, so a machine without them reads the other formats.
// No symbol of theirs is linked, and none of their headers is needed to build.
#ifndef GOLDCREST_SVG_DRAW_H
#define GOLDCREST_SVG_DRAW_H

#include <dlfcn.h>
#include <glib.h>

typedef struct { double x, y, width, height; } GcRectangle; // RsvgRectangle

typedef struct { int count, room; void **fonts; } GcFontSet;       // FcFontSet

static struct {
	void *(*handle)(const guint8 *data, gsize length, GError **error);
	void (*dpi)(void *handle, double dpi);
	gboolean (*render)(void *handle, void *cairo, const GcRectangle *viewport, GError **error);
	void *(*surface)(unsigned char *data, int format, int width, int height, int stride);
	int (*surface_status)(void *surface);
	void (*flush)(void *surface);
	void (*free_surface)(void *surface);
	void *(*cairo)(void *surface);
	int (*cairo_status)(void *cairo);
	void (*scale)(void *cairo, double x, double y);
	void (*free_cairo)(void *cairo);
	void (*unref)(void *object);
	void *(*fonts)(void);
	int (*add_font)(void *fonts, const unsigned char *path);
	GcFontSet *(*list)(void *fonts, int set);
	int (*get)(void *font, const char *key, int n, unsigned char **value);
	int (*add_face)(void *font, const char *key, void *face);
	int (*freetype)(void **library);
	int (*face)(void *library, const char *path, long index, void **face);
	int (*use_fonts)(void *fonts);
} gc;

static void gc_silent(const gchar *domain, GLogLevelFlags level, const gchar *text, gpointer user) {}

// gc_open loads the libraries; 0 if one of them or a function is missing. It also silences their log: a font that lacks
// a letter is no fault.
static int gc_open(void) {
	void *rsvg = dlopen("librsvg-2.so.2", RTLD_LAZY | RTLD_LOCAL);
	void *cairo = dlopen("libcairo.so.2", RTLD_LAZY | RTLD_LOCAL);
	void *object = dlopen("libgobject-2.0.so.0", RTLD_LAZY | RTLD_LOCAL);
	void *fonts = dlopen("libfontconfig.so.1", RTLD_LAZY | RTLD_LOCAL);
	void *freetype = dlopen("libfreetype.so.6", RTLD_LAZY | RTLD_LOCAL);
	if (!rsvg || !cairo || !object || !fonts || !freetype)
		return 0;
	*(void **) &gc.handle = dlsym(rsvg, "rsvg_handle_new_from_data");
	*(void **) &gc.dpi = dlsym(rsvg, "rsvg_handle_set_dpi");
	*(void **) &gc.render = dlsym(rsvg, "rsvg_handle_render_document");
	*(void **) &gc.surface = dlsym(cairo, "cairo_image_surface_create_for_data");
	*(void **) &gc.surface_status = dlsym(cairo, "cairo_surface_status");
	*(void **) &gc.flush = dlsym(cairo, "cairo_surface_flush");
	*(void **) &gc.free_surface = dlsym(cairo, "cairo_surface_destroy");
	*(void **) &gc.cairo = dlsym(cairo, "cairo_create");
	*(void **) &gc.cairo_status = dlsym(cairo, "cairo_status");
	*(void **) &gc.scale = dlsym(cairo, "cairo_scale");
	*(void **) &gc.free_cairo = dlsym(cairo, "cairo_destroy");
	*(void **) &gc.unref = dlsym(object, "g_object_unref");
	*(void **) &gc.fonts = dlsym(fonts, "FcConfigCreate");
	*(void **) &gc.add_font = dlsym(fonts, "FcConfigAppFontAddFile");
	*(void **) &gc.list = dlsym(fonts, "FcConfigGetFonts");
	*(void **) &gc.get = dlsym(fonts, "FcPatternGetString");
	*(void **) &gc.add_face = dlsym(fonts, "FcPatternAddFTFace");
	*(void **) &gc.freetype = dlsym(freetype, "FT_Init_FreeType");
	*(void **) &gc.face = dlsym(freetype, "FT_New_Face");
	*(void **) &gc.use_fonts = dlsym(fonts, "FcConfigSetCurrent");
	for (void **f = (void **) &gc; f < (void **) (&gc + 1); f++)
		if (!*f)
			return 0;
	const char *const domains[] = {"Pango", "librsvg", "cairo", "GLib-GObject"};
	for (int i = 0; i < 4; i++)
		g_log_set_handler(domains[i], G_LOG_LEVEL_MASK & ~G_LOG_LEVEL_ERROR, gc_silent, NULL);
	return 1;
}

static void *gc_fonts(void) { return gc.fonts(); }
static int gc_add_font(void *fonts, const char *path) { return gc.add_font(fonts, (const unsigned char *) path); }

// gc_use_fonts restricts the process to these fonts. It passes cairo open fonts, since cairo would open their files
// again at each new size. What is opened here stays open for the life of the process.
static int gc_use_fonts(void *fonts) {
	GcFontSet *all = gc.list(fonts, 1);
	void *library;
	if (!all || gc.freetype(&library))
		return 0;
	int usable = 0;
	for (int i = 0; i < all->count; i++) {
		unsigned char *path;
		void *face;
		if (!gc.get(all->fonts[i], "file", 0, &path) && !gc.face(library, (const char *) path, 0, &face))
			usable += gc.add_face(all->fonts[i], "ftface", face);
	}
	gc.use_fonts(fonts);
	return usable;
}

// gc_draw draws a document of width x height CSS pixels over cleared pixels of four bytes. It returns an error text, or
// NULL.
static const char *gc_draw(const void *text, size_t length, double width, double height, void *pixels, int across,
		int down) {
	const char *failed = NULL;
	void *handle = gc.handle(text, length, NULL);
	if (!handle)
		return "librsvg does not read the document";
	gc.dpi(handle, 96);
	void *surface = gc.surface(pixels, 0, across, down, across * 4);
	void *cairo = gc.cairo(surface);
	gc.scale(cairo, across / width, down / height);
	GcRectangle whole = {0, 0, width, height};
	if (!gc.render(handle, cairo, &whole, NULL))
		failed = "librsvg does not draw the document";
	gc.flush(surface);
	if (gc.cairo_status(cairo) || gc.surface_status(surface))
		failed = "cairo does not draw the document";
	gc.free_cairo(cairo);
	gc.free_surface(surface);
	gc.unref(handle);
	return failed;
}

// gc_straighten converts cairo's premultiplied words of native byte order to R, G, B and A.
static void gc_straighten(unsigned char *pixels, size_t count) {
	for (size_t i = 0; i < count; i++, pixels += 4) {
		guint32 word = *(guint32 *) pixels;
		unsigned a = word >> 24, r = word >> 16 & 255, g = word >> 8 & 255, b = word & 255;
		if (a && a < 255) {
			r = (r * 255 + a / 2) / a;
			g = (g * 255 + a / 2) / a;
			b = (b * 255 + a / 2) / a;
		}
		pixels[0] = r > 255 ? 255 : r;
		pixels[1] = g > 255 ? 255 : g;
		pixels[2] = b > 255 ? 255 : b;
		pixels[3] = a;
	}
}

#endif
