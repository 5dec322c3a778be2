// rawvips is the reference of the cold parts: the cost of libvips alone. The threads of one process take files from one
// list, which were read into memory before. They make pictures of at most the given widths, upright, in sRGB, without
// metadata.
//
//   rawvips MODE FORMAT WIDTHS THREADS FILE...
//
// MODE     thumbnail: vips_thumbnail_buffer
//          exact: the named loader with shrink-on-load right up to the target, vips_resize, sequential access
//          chain: exact for the first width, each further one from the pixels of the one before
// FORMAT   webp, jpeg: libvips' own settings; jpeg-progressive: optimized and progressive; avif: speed 8
// WIDTHS   from large to small, separated by commas
//
// It prints: pictures, seconds, seconds of processor time, bytes out.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <vips/vips.h>

enum { QUALITY = 75, AVIF_QUALITY = 57, AVIF_EFFORT = 1 }; // effort 1 is speed 8

typedef struct {
	void *bytes;
	size_t length;
} File;

static File *files;
static int count;
static atomic_int next;
static atomic_long made, written;
static int exact, chain, webp, avif, progressive;
static int widths[8], variants;

static void die(const char *what) {
	fprintf(stderr, "rawvips: %s: %s\n", what, vips_error_buffer());
	exit(1);
}

static int has_profile(VipsImage *image) { return vips_image_get_typeof(image, VIPS_META_ICC_NAME) != 0; }

// probe reads only the header.
static void probe(File f, int *upright, int *profile) {
	VipsImage *head;
	if (vips_jpegload_buffer(f.bytes, f.length, &head, "access", VIPS_ACCESS_SEQUENTIAL, NULL))
		die("probe");
	*upright = vips_image_get_orientation(head) >= 5 ? head->Ysize : head->Xsize;
	*profile = has_profile(head);
	g_object_unref(head);
}

static VipsImage *step(VipsImage *old, VipsImage *new) {
	g_object_unref(old);
	return new;
}

// narrow scales a picture down to the width to. width is its upright width, even if it is not turned yet.
static VipsImage *narrow(VipsImage *image, int width, int to) {
	VipsImage *out;
	if (width <= to)
		return image;
	if (vips_resize(image, &out, (double) to / width, NULL))
		die("resize");
	return step(image, out);
}

static VipsImage *shrink_exactly(File f, int to) {
	int upright, profile, shrink = 8;
	probe(f, &upright, &profile);
	while (shrink > 1 && upright / shrink < to)
		shrink /= 2;
	VipsImage *image, *out;
	if (vips_jpegload_buffer(f.bytes, f.length, &image, "access", VIPS_ACCESS_SEQUENTIAL, "shrink", shrink, NULL))
		die("load");
	image = narrow(image, vips_image_get_orientation(image) >= 5 ? image->Ysize : image->Xsize, to);
	if (profile) {
		if (vips_icc_transform(image, &out, "srgb", "embedded", TRUE, NULL))
			die("profile");
		image = step(image, out);
	}
	if (vips_image_get_orientation(image) > 1) {
		if (!(out = vips_image_copy_memory(image)))
			die("pixels");
		image = step(image, out);
		if (vips_autorot(image, &out, NULL))
			die("turn");
		image = step(image, out);
	}
	return image;
}

static VipsImage *shrink_by_thumbnail(File f, int to) {
	VipsImage *image;
	int upright, profile;
	probe(f, &upright, &profile);
	const char *into = profile ? "srgb" : NULL;
	if (vips_thumbnail_buffer(f.bytes, f.length, &image, to, "height", VIPS_MAX_COORD, "size", VIPS_SIZE_DOWN, "export_profile", into, NULL))
		die("thumbnail");
	return image;
}

static void save(VipsImage *image) {
	void *out;
	size_t length;
	int failed;
	if (webp)
		failed = vips_webpsave_buffer(image, &out, &length, "Q", QUALITY, "strip", TRUE, NULL);
	else if (avif)
		failed = vips_heifsave_buffer(image, &out, &length, "Q", AVIF_QUALITY, "compression", VIPS_FOREIGN_HEIF_COMPRESSION_AV1, "effort", AVIF_EFFORT, "strip", TRUE, NULL);
	else
		failed = vips_jpegsave_buffer(image, &out, &length, "Q", QUALITY, "strip", TRUE, "optimize_coding", progressive, "interlace", progressive, NULL);
	if (failed)
		die("save");
	g_free(out);
	atomic_fetch_add(&made, 1);
	atomic_fetch_add(&written, (long) length);
}

static void convert(File f) {
	VipsImage *image = NULL;
	for (int i = 0; i < variants; i++) {
		if (chain && image)
			image = narrow(image, image->Xsize, widths[i]);
		else {
			g_clear_object(&image);
			image = exact ? shrink_exactly(f, widths[i]) : shrink_by_thumbnail(f, widths[i]);
		}
		if (chain)
			image = step(image, vips_image_copy_memory(image));
		save(image);
	}
	g_clear_object(&image);
}

static void *work(void *unused) {
	for (int i; (i = atomic_fetch_add(&next, 1)) < count;)
		convert(files[i]);
	vips_thread_shutdown();
	return NULL;
}

static File read_file(const char *name) {
	File f = {0};
	if (!g_file_get_contents(name, (gchar **) &f.bytes, &f.length, NULL)) {
		fprintf(stderr, "rawvips: cannot read %s\n", name);
		exit(1);
	}
	return f;
}

static double processor(void) {
	struct rusage u;
	getrusage(RUSAGE_SELF, &u);
	return u.ru_utime.tv_sec + u.ru_stime.tv_sec + (u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static double seconds(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
	if (argc < 6 || VIPS_INIT(argv[0])) {
		fprintf(stderr, "usage: rawvips thumbnail|exact|chain webp|jpeg|jpeg-progressive|avif WIDTH,... THREADS FILE...\n");
		return 2;
	}
	vips_cache_set_max(0);
	vips_concurrency_set(1);
	chain = !strcmp(argv[1], "chain");
	exact = chain || !strcmp(argv[1], "exact");
	webp = !strcmp(argv[2], "webp");
	avif = !strcmp(argv[2], "avif");
	progressive = !strcmp(argv[2], "jpeg-progressive");
	for (char *at = argv[3]; *at && variants < (int) G_N_ELEMENTS(widths); at += *at == ',')
		widths[variants++] = strtol(at, &at, 10);
	int threads = atoi(argv[4]);
	count = argc - 5;
	files = g_new0(File, count);
	for (int i = 0; i < count; i++)
		files[i] = read_file(argv[5 + i]);
	convert(files[0]); // Once before the clock runs: libraries are loaded and tables built at first use.
	made = written = 0;

	pthread_t *running = g_new0(pthread_t, threads);
	double cpu = processor(), wall = seconds();
	for (int i = 0; i < threads; i++)
		pthread_create(&running[i], NULL, work, NULL);
	for (int i = 0; i < threads; i++)
		pthread_join(running[i], NULL);
	printf("%ld %f %f %ld\n", (long) made, seconds() - wall, processor() - cpu, (long) written);
	return 0;
}
