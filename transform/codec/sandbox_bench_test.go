package codec

import (
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/goldcrest/goldcrest/transform"
	"github.com/goldcrest/goldcrest/variant"
)

// BenchmarkSandbox measures the cost of the sandbox. Each photo is made by a worker without and by one with a sandbox
// in turn, so that other load on the machine affects both. The ratio is that of their processor time.
func BenchmarkSandbox(b *testing.B) {
	files := corpusFiles(b, "photos", 900<<10)
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(files)), func(name string) bool { return name == "struct.svg" })
	if len(names) == 0 {
		b.Skip("there are no photos")
	}
	for _, format := range []variant.Format{variant.JPEG, variant.WebP} {
		b.Run(string(format), func(b *testing.B) {
			open, openWatch := realPool(b, func(c *transform.Config) { c.Workers, c.Sandbox = 1, transform.SandboxOff })
			shut, shutWatch := realPool(b, func(c *transform.Config) { c.Workers, c.Sandbox = 1, transform.SandboxAuto })
			for n := 0; b.Loop(); n++ {
				pair := []*transform.Pool{open, shut}
				if n%2 == 1 {
					slices.Reverse(pair)
				}
				for _, p := range pair {
					var own error
					err := p.Transform(b.Context(), variant.Original{Body: files[names[n%len(names)]]}, []variant.Spec{{Width: 400, Format: format, Quality: 75}}, variant.StageFinal,
						func(_ int, _ variant.Image, err error) { own = err })
					if err := errors.Join(err, own); err != nil {
						b.Error(err)
					}
				}
			}
			b.ReportMetric(float64(openWatch.cpu.Microseconds())/1000/float64(b.N), "open-cpu-ms/op")
			b.ReportMetric(float64(shutWatch.cpu.Microseconds())/float64(openWatch.cpu.Microseconds()), "ratio")
		})
	}
}
