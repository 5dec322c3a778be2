package variant

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/goldcrest/goldcrest/fault"
)

// ofImgproxy and ofPro are the options of imgproxy 3.30 by its own list, with their other names: those of the open
// version, and those of Pro alone.
const (
	ofImgproxy = `resize rs, size s, resizing_type rt, width w, height h, min-width mw, min-height mh, zoom z, dpr,
		enlarge el, extend ex, extend_aspect_ratio extend_ar exar, gravity g, crop c, trim t, padding pd,
		auto_rotate ar, rotate rot, background bg, blur bl, sharpen sh, pixelate pix, watermark wm, strip_metadata sm,
		keep_copyright kcr, strip_color_profile scp, enforce_thumbnail eth, quality q, format_quality fq, max_bytes mb,
		format f ext,
		skip_processing skp, raw, cachebuster cb, expires exp, filename fn, return_attachment att, preset pr,
		max_src_resolution msr, max_src_file_size msfs, max_animation_frames maf, max_animation_frame_resolution mafr,
		max_result_dimension mrd`
	ofPro = `resizing_algorithm ra, objects_position obj_pos op, crop_aspect_ratio crop_ar car, background_alpha bga,
		adjust a, brightness br, contrast co, saturation sa, monochrome mc, duotone dt, unsharp_masking ush,
		blur_detections bd, draw_detections dd, colorize col, gradient gr, watermark_url wmu, watermark_text wmt,
		watermark_size wms, watermark_rotate wm_rot wmr, watermark_shadow wmsh, style st, dpi, color_profile cp icc,
		autoquality aq, jpeg_options jpgo, png_options pngo, webp_options webpo, page pg, pages pgs,
		disable_animation da, video_thumbnail_second vts, video_thumbnail_keyframes vtk, video_thumbnail_tile vtt,
		video_thumbnail_animation vta, fallback_image_url fiu, hashsum hs`
)

// Each option of imgproxy is read, or refused by its name. docs/migrate.md names each, and says "refused" beside those
// that are not read.
func TestDocsSayWhatBecomesOfImgproxysOptions(t *testing.T) {
	text, err := os.ReadFile("../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n### Option by option\n")
	table, _, _ = strings.Cut(table, "\n## ")
	rows := map[string]string{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, m := range regexp.MustCompile("`([a-z_-]+)`").FindAllStringSubmatch(cells[1], -1) {
				rows[m[1]] = cells[2]
			}
		}
	}
	p := parser(t, nil, false)
	for option := range strings.SplitSeq(ofImgproxy+", "+ofPro, ",") {
		names := strings.Fields(option)
		row, told := rows[names[0]]
		if !told {
			t.Errorf("docs/migrate.md has no row for %s", names[0])
		}
		for _, name := range names {
			_, known := rules[name]
			_, _, err := p.ParseOptions(name + ":?")
			switch refused := fault.KindOf(err) == fault.UnsupportedOption; {
			case refused == (known || names[0] == "preset"):
				t.Errorf("%s: %v", name, err)
			case refused && !strings.Contains(row, "refused"):
				t.Errorf("docs/migrate.md does not say that %s is refused: %s", names[0], row)
			}
		}
		delete(rows, names[0])
	}
	for name := range rows {
		if _, ours := rules[name]; !ours {
			t.Errorf("docs/migrate.md names %s, which imgproxy does not have", name)
		}
	}
}
