package variant

import (
	"os"
	"regexp"
	"slices"
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

// ofEnvironment are the variables of imgproxy's open version, without IMGPROXY_.
const ofEnvironment = `KEY SALT SIGNATURE_SIZE TRUSTED_SIGNATURES SECRET SOURCE_URL_ENCRYPTION_KEY BIND NETWORK
	READ_TIMEOUT WRITE_TIMEOUT TIMEOUT KEEP_ALIVE_TIMEOUT CLIENT_KEEP_ALIVE_TIMEOUT DOWNLOAD_TIMEOUT WORKERS
	GRACEFUL_STOP_TIMEOUT REQUESTS_QUEUE_SIZE MAX_CLIENTS TTL CACHE_CONTROL_PASSTHROUGH SET_CANONICAL_HEADER
	SO_REUSEPORT PATH_PREFIX USER_AGENT USE_ETAG ETAG_BUSTER USE_LAST_MODIFIED ENABLE_DEBUG_HEADERS
	MAX_SRC_RESOLUTION MAX_SRC_FILE_SIZE MAX_ANIMATION_FRAMES MAX_ANIMATION_FRAME_RESOLUTION MAX_RESULT_DIMENSION
	MAX_SVG_CHECK_BYTES MAX_REDIRECTS ALLOW_ORIGIN ALLOWED_SOURCES ALLOW_LOOPBACK_SOURCE_ADDRESSES
	ALLOW_LINK_LOCAL_SOURCE_ADDRESSES ALLOW_PRIVATE_SOURCE_ADDRESSES SANITIZE_SVG IGNORE_SSL_VERIFICATION
	DEVELOPMENT_ERRORS_MODE ALLOW_SECURITY_OPTIONS COOKIE_PASSTHROUGH COOKIE_BASE_URL QUALITY FORMAT_QUALITY
	JPEG_PROGRESSIVE PNG_INTERLACED PNG_QUANTIZE PNG_QUANTIZATION_COLORS AVIF_SPEED ENABLE_WEBP_DETECTION
	ENFORCE_WEBP ENABLE_AVIF_DETECTION ENFORCE_AVIF AUTO_WEBP AUTO_AVIF AUTO_JXL PREFERRED_FORMATS
	SKIP_PROCESSING_FORMATS ENABLE_CLIENT_HINTS WATERMARK_DATA WATERMARK_PATH WATERMARK_URL WATERMARK_OPACITY
	FALLBACK_IMAGE_DATA FALLBACK_IMAGE_PATH FALLBACK_IMAGE_URL FALLBACK_IMAGE_HTTP_CODE FALLBACK_IMAGE_TTL PRESETS
	ONLY_PRESETS LOCAL_FILESYSTEM_ROOT USE_S3 S3_REGION S3_ENDPOINT S3_MULTI_REGION USE_GCS GCS_KEY GCS_ENDPOINT
	USE_ABS ABS_NAME ABS_KEY ABS_ENDPOINT USE_SWIFT SWIFT_USERNAME SWIFT_API_KEY BASE_URL URL_REPLACEMENTS
	NEW_RELIC_KEY PROMETHEUS_BIND PROMETHEUS_NAMESPACE DATADOG_ENABLE OPEN_TELEMETRY_ENDPOINT
	CLOUD_WATCH_SERVICE_NAME REPORT_DOWNLOADING_ERRORS BUGSNAG_KEY HONEYBADGER_KEY SENTRY_DSN SENTRY_ENVIRONMENT
	AIRBRAKE_PROJECT_ID LOG_FORMAT LOG_LEVEL SYSLOG_ENABLE DOWNLOAD_BUFFER_SIZE FREE_MEMORY_INTERVAL
	BUFFER_POOL_CALIBRATION_THRESHOLD MALLOC USE_LINEAR_COLORSPACE DISABLE_SHRINK_ON_LOAD STRIP_METADATA
	KEEP_COPYRIGHT STRIP_COLOR_PROFILE AUTO_ROTATE ENFORCE_THUMBNAIL RETURN_ATTACHMENT SVG_FIX_UNSUPPORTED
	HEALTH_CHECK_PATH ALWAYS_RASTERIZE_SVG`

// docs/migrate.md names every variable, by itself or with others that begin alike.
func TestDocsNameImgproxysVariables(t *testing.T) {
	text, err := os.ReadFile("../docs/migrate.md")
	if err != nil {
		t.Fatal(err)
	}
	told := regexp.MustCompile("`IMGPROXY_([A-Z0-9_]+)(\\*?)`").FindAllStringSubmatch(string(text), -1)
	for _, name := range strings.Fields(ofEnvironment) {
		if !slices.ContainsFunc(told, func(m []string) bool {
			return m[1] == name || m[2] != "" && strings.HasPrefix(name, m[1])
		}) {
			t.Errorf("docs/migrate.md does not name IMGPROXY_%s", name)
		}
	}
}
