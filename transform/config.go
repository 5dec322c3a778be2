package transform

import (
	"slices"
	"strings"
	"time"

	"github.com/goldcrest/goldcrest/invalid"
)

// Config sets how many workers run and what a picture may cost them.
type Config struct {
	// Engine is the pixel path: vips (the built-in one) or bimg.
	Engine string `yaml:"engine"`
	// Workers is the number of worker processes, each of which makes one picture at a time. 0 = one per core. When
	// heavy pictures are requested among light ones, they are made by additional workers of lower priority: up to one
	// fewer than this, but at least one.
	Workers int `yaml:"workers"`
	// Timeout is the wall time that one variant may take in a worker. After that the worker is killed and the answer is
	// transform_timeout. The clock starts again with each variant. A worker's start has as long, a minute at least.
	Timeout time.Duration `yaml:"timeout"`
	// CPU is the processor time that one variant may take, over all threads of its worker. After that the worker is
	// killed and the answer is too_costly. It starts again with each variant of a request.
	CPU time.Duration `yaml:"cpu"`
	// Patience is how long viewers may wait for a worker while there is always a waiting viewer, short gaps aside. A
	// viewer whose estimated wait is longer is refused at once with overloaded and Retry-After. A burst to an idle
	// server may wait for half of server.deadline. 0 = always half of server.deadline.
	Patience time.Duration `yaml:"patience"`
	// MaxPixels bounds width x height x decoded frames of an original.
	MaxPixels int64 `yaml:"max_pixels" unit:"pixels"`
	// MaxResultPixels bounds width x height of a variant.
	MaxResultPixels int64 `yaml:"max_result_pixels" unit:"pixels"`
	// AVIFMaxPixels bounds width x height of an AVIF or JPEG XL that negotiation chose; larger variants get the next
	// format.
	AVIFMaxPixels int64 `yaml:"avif_max_pixels" unit:"pixels"`
	// MaxFrames bounds the frames of an animated variant. 1 = animations become their first frame.
	MaxFrames int `yaml:"max_frames"`
	// ImageMemory bounds the decoded pixels of all pictures in work, in bytes, as estimated from their headers. A
	// single picture that needs more is refused with too_many_pixels. At most half of memory.limit, or of the control
	// group's limit, is used.
	ImageMemory int64 `yaml:"image_memory" unit:"bytes"`
	// Inputs are the formats of originals that are read: jpeg, png, webp, gif, avif, heic, tiff, bmp, svg and jxl, and
	// also ico and pdf, which are off by default. Any other original is refused with unsupported_format.
	Inputs  []string `yaml:"inputs"`
	Permits `yaml:",inline"`
	// Recycle is the number of requests after which a worker is replaced by a new one. 0 = never.
	Recycle int `yaml:"recycle"`
	// Sandbox encloses workers with Landlock and seccomp, once their codecs are loaded: no files, no network, no
	// programs, no other processes. auto = as much as the kernel can, with a warning at the start if that is not
	// everything; required = refuse to start without all of it; off = never.
	Sandbox SandboxMode `yaml:"sandbox"`
	// Command starts a worker, program first. Empty = this executable with the argument "worker". The sandbox also
	// keeps the command and the programs that it starts from changing files.
	Command []string `yaml:"command"`

	Told `yaml:"-"`
}

// Permits allows options of URLs, and animated AVIFs.
type Permits struct {
	// AnimatedAVIF makes animations AVIF, not WebP, for clients of AVIF. It needs max_frames above 1 and libheif 1.23.
	AnimatedAVIF bool `yaml:"animated_avif"`
	// Watermark is the file of the picture that the option watermark lays over results: any format that is read, at
	// most 4 megapixels and 4 MiB. It is read at the start; another picture makes new variants. Empty = none: the option
	// is refused in URLs without watermark_url.
	Watermark string `yaml:"watermark"`
	// KeepMetadata allows strip_metadata:0, keep_copyright:1 and strip_color_profile:0, which keep EXIF's copyright
	// and artist, and the ICC profile. No other metadata is ever kept.
	KeepMetadata bool `yaml:"keep_metadata"`
	// Raw allows raw and skip_processing, which send the original as it is, with all its metadata: also the place where
	// a photo was taken.
	Raw bool `yaml:"raw"`
}

// Told is set by the composition root, from other sections or by itself.
type Told struct {
	Quality       Quality // the targets of the automatic quality, from quality; the zero value is the default
	OriginalBytes int64   // size of the largest original, from origin.max_bytes
	Build         string  // the build id that a worker must report in its first message
	Mark          Mark    // the watermark, from Permits.Watermark
}

// usualInputs are the formats that are read by default, knownInputs those that the codec can read.
var (
	usualInputs = []string{"jpeg", "png", "webp", "gif", "avif", "heic", "tiff", "bmp", "svg", "jxl"}
	knownInputs = append(slices.Clone(usualInputs), "ico", "pdf")
)

// Default is the configuration without any setting.
func Default() Config {
	return Config{
		Engine:          "vips",
		Timeout:         15 * time.Second,
		CPU:             5 * time.Second,
		Patience:        time.Second,
		MaxPixels:       50_000_000,
		MaxResultPixels: 16_000_000,
		AVIFMaxPixels:   2_000_000,
		MaxFrames:       1,
		ImageMemory:     512 << 20,
		Recycle:         2000,
		Sandbox:         SandboxAuto,
		Inputs:          slices.Clone(usualInputs),
		Told:            Told{OriginalBytes: 32 << 20},
	}
}

// Validate reports every invalid setting.
func (c Config) Validate() error {
	var bad invalid.Values
	bad.If(c.Engine != "vips" && c.Engine != "bimg", "transform.engine: %q is neither vips nor bimg", c.Engine)
	bad.If(c.Workers < 0 || c.Workers > 1024,
		"transform.workers: %d is not between 0 (one per core) and 1024", c.Workers)
	bad.If(c.Timeout <= 0, "transform.timeout: %v must be more than 0", c.Timeout)
	bad.If(c.CPU <= 0, "transform.cpu: %v must be more than 0", c.CPU)
	bad.If(c.Patience < 0, "transform.patience: %v must not be negative", c.Patience)
	bad.If(c.MaxPixels <= 0, "transform.max_pixels: %d must be more than 0", c.MaxPixels)
	bad.If(c.MaxResultPixels <= 0, "transform.max_result_pixels: %d must be more than 0", c.MaxResultPixels)
	bad.If(c.AVIFMaxPixels < 0, "transform.avif_max_pixels: %d must not be negative", c.AVIFMaxPixels)
	bad.If(c.MaxFrames < 1, "transform.max_frames: %d must be at least 1", c.MaxFrames)
	bad.If(c.ImageMemory < 16<<20,
		"transform.image_memory: %d bytes is less than 16 MiB, too little for one photo", c.ImageMemory)
	bad.If(len(c.Inputs) == 0, "transform.inputs: it names no format, so that nothing could be read")
	for _, name := range c.Inputs {
		bad.If(!slices.Contains(knownInputs, name),
			"transform.inputs: %q is none of %s", name, strings.Join(knownInputs, ", "))
	}
	bad.If(c.Recycle < 0, "transform.recycle: %d must not be negative (0 = never)", c.Recycle)
	bad.If(!slices.Contains([]SandboxMode{SandboxAuto, SandboxRequired, SandboxOff}, c.Sandbox),
		"transform.sandbox: %q is none of auto, required, off", c.Sandbox)
	bad.If(len(c.Command) > 0 && c.Command[0] == "", "transform.command: the program's name is empty")
	bad.If(c.OriginalBytes <= 0 || c.OriginalBytes > 1<<30,
		"transform.OriginalBytes: %d is not between 1 byte and 1 GiB", c.OriginalBytes)
	return bad.Err()
}

// limits are the bounds that are sent with each request.
func (c Config) limits() Limits {
	return Limits{
		Pixels: c.MaxPixels, ResultPixels: c.MaxResultPixels, AVIFPixels: c.AVIFMaxPixels, Frames: c.MaxFrames,
		AnimatedAVIF: c.AnimatedAVIF, Quality: c.Quality, Wall: c.Timeout, CPU: c.CPU,
	}
}
