package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"github.com/goldcrest/goldcrest/transform/codec"
	"github.com/goldcrest/goldcrest/variant"
)

// scorer runs ssimulacra2 over uncompressed files in a folder of its own.
type scorer struct {
	command []string
	dir     string
	codec   *codec.Codec
}

func newScorer(o options, c *codec.Codec) (*scorer, error) {
	if _, err := exec.LookPath(o.ss2[0]); err != nil {
		return nil, fmt.Errorf("ssimulacra2 is needed (Debian: libjxl-devtools from trixie on; -ss2 names another program): %w", err)
	}
	dir, err := os.MkdirTemp("", "goldcrest-quality-")
	return &scorer{command: o.ss2, dir: dir, codec: c}, err
}

// openAll opens what most measurements need: the product's codec, a scorer, which is the caller's to close, and the pictures of the folders.
func openAll(o options) (*codec.Codec, *scorer, []picture, error) {
	c, err := codec.New(codec.EngineVips)
	if err != nil {
		return nil, nil, nil, err
	}
	found, err := pictures(o.dirs)
	if err != nil {
		return nil, nil, nil, err
	}
	s, err := newScorer(o, c)
	return c, s, found, err
}

func (s *scorer) close() { os.RemoveAll(s.dir) }

// judged is what scores need of a reference: its pixels on disk, whole and in tiles.
type judged struct {
	s     *scorer
	ref   *codec.Raster
	file  string
	tiles []tile
}

type tile struct {
	x, y, w, h int
	file       string
}

// tileSide is the side of the parts that a document is judged by: some lines of print.
const tileSide = 256

// judge writes the reference, and its tiles where they are wanted: those that hold something.
func (s *scorer) judge(ref *codec.Raster, name string, tiles bool) (*judged, error) {
	j := &judged{s: s, ref: ref, file: filepath.Join(s.dir, name+".ref.ppm")}
	if err := writePPM(j.file, ref); err != nil {
		return nil, err
	}
	width, height := ref.Size()
	if !tiles || width < tileSide || height < tileSide {
		return j, nil
	}
	samples, bands, err := ref.Pixels()
	if err != nil {
		return nil, err
	}
	for y := 0; y+tileSide <= height; y += tileSide {
		for x := 0; x+tileSide <= width; x += tileSide {
			if !busy(samples, width, bands, x, y) {
				continue
			}
			t := tile{x, y, tileSide, tileSide, fmt.Sprintf("%s.%d.%d.ppm", j.file, x, y)}
			part, err := ref.Crop(x, y, tileSide, tileSide)
			if err != nil {
				return nil, err
			}
			err = writePPM(t.file, part)
			part.Free()
			if err != nil {
				return nil, err
			}
			j.tiles = append(j.tiles, t)
		}
	}
	// Four of them, spread over the picture, tell as much as all.
	if n := len(j.tiles); n > 4 {
		kept := make([]tile, 4)
		for i := range kept {
			kept[i] = j.tiles[i*(n-1)/3]
		}
		j.tiles = kept
	}
	return j, nil
}

// busy reports whether a tile holds print or the like: steep steps in at least a fortieth of its pixels.
func busy(samples []byte, width, bands, x, y int) bool {
	steps := 0
	for r := y; r < y+tileSide; r++ {
		for c := x + 1; c < x+tileSide; c++ {
			i := (r*width + c) * bands
			if d := int(samples[i]) - int(samples[i-bands]); d > 48 || d < -48 {
				steps++
			}
		}
	}
	return steps > tileSide*tileSide/40
}

func (j *judged) close() {
	os.Remove(j.file)
	for _, t := range j.tiles {
		os.Remove(t.file)
	}
}

// score is SSIMULACRA2 of a candidate: of the whole, and of its worst tile (the whole's where there are none).
func (j *judged) score(ctx context.Context, body []byte) (all, worst float64, err error) {
	im, err := j.s.codec.Raster(body, variant.Spec{Format: variant.PNG}, unlimited)
	if err != nil {
		return 0, 0, err
	}
	defer im.Free()
	file := j.file + ".cand.ppm"
	if err := writePPM(file, im); err != nil {
		return 0, 0, err
	}
	defer os.Remove(file)
	if all, err = j.s.compare(ctx, j.file, file); err != nil {
		return 0, 0, err
	}
	worst = all
	for i, t := range j.tiles {
		part, err := im.Crop(t.x, t.y, t.w, t.h)
		if err != nil {
			return 0, 0, err
		}
		err = writePPM(file, part)
		part.Free()
		if err != nil {
			return 0, 0, err
		}
		v, err := j.s.compare(ctx, t.file, file)
		if err != nil {
			return 0, 0, err
		}
		if i == 0 || v < worst {
			worst = v
		}
	}
	return all, worst, nil
}

func (s *scorer) compare(ctx context.Context, ref, cand string) (float64, error) {
	args := append(s.command[1:len(s.command):len(s.command)], ref, cand)
	out, err := exec.CommandContext(ctx, s.command[0], args...).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w: %s", s.command, err, out)
	}
	return strconv.ParseFloat(string(bytes.TrimSpace(out)), 64)
}

// writePPM writes three bands whatever the picture has: the scorer then compares like with like.
func writePPM(file string, im *codec.Raster) error {
	samples, bands, err := im.Pixels()
	if err != nil {
		return err
	}
	width, height := im.Size()
	if bands == 1 {
		wide := make([]byte, 0, 3*len(samples))
		for _, v := range samples {
			wide = append(wide, v, v, v)
		}
		samples = wide
	}
	return os.WriteFile(file, append(fmt.Appendf(nil, "P6\n%d %d\n255\n", width, height), samples...), 0o600)
}
