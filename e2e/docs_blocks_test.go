package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
)

// docBlock is one fenced block of a document.
type docBlock struct {
	line int
	lang string // first word of the info string
	how  string // the rest of it: "run", "run npm", "config", "output", "skip: why", or nothing
	text string
}

// Languages that are only shown. All other blocks are run, or say why not.
var shownLangs = []string{"text", "json", "yaml", "http", "html"}

// runners turn a block into bash. %d is the block's number, $TEXT the file with its text.
var runners = map[string]string{
	"sh":     "",
	"python": `python3 "$TEXT"`,
	"js":     `cp "$TEXT" "doc-%[1]d.mjs"; node "doc-%[1]d.mjs"`,
	"go":     `mkdir -p "doc-%[1]d"; cp "$TEXT" "doc-%[1]d/main.go"; go run "./doc-%[1]d"`,
	"yaml":   `goldcrest config -config "$TEXT"`,
}

// skipped is the reason why a block is not run; "" = it is run, or only shown.
func (b docBlock) skipped() string {
	why, _ := strings.CutPrefix(b.how, "skip: ")
	if why == b.how {
		return ""
	}
	return why
}

// runs reports whether the block is executed.
func (b docBlock) runs() bool {
	switch b.how {
	case "":
		return b.lang == "sh"
	case "run", "run npm":
		return b.lang != "sh"
	}
	return b.how == "config" && b.lang == "yaml"
}

// state is the block's line in the table of checked blocks.
func (b docBlock) state() string {
	switch {
	case b.skipped() != "":
		return "not run: " + b.skipped()
	case b.runs():
		return "run"
	case b.how == "output":
		return "compared"
	}
	return "shown"
}

var fence = regexp.MustCompile("^```([a-z]*) ?(.*)$")

// docBlocks reads a document. faults are the blocks that cannot be checked: indented ones, and fences without a
// language.
func docBlocks(file string) (blocks []docBlock, faults []string) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, []string{err.Error()}
	}
	open, blank, list := false, true, false
	for i, line := range strings.Split(string(text), "\n") {
		fault := func(why string) { faults = append(faults, fmt.Sprintf("%s:%d: %s", file, i+1, why)) }
		m := fence.FindStringSubmatch(line)
		switch {
		case open && line == "```":
			open = false
		case open:
			blocks[len(blocks)-1].text += line + "\n"
		case m != nil:
			open = true
			blocks = append(blocks, docBlock{line: i + 1, lang: m[1], how: m[2]})
			if why := blocks[len(blocks)-1].unchecked(); why != "" {
				fault(why)
			}
		case strings.Contains(line, "```"):
			fault("a fence begins its line")
		case strings.HasPrefix(line, "    ") && blank && !list:
			fault("an indented block is not checked: fence it")
		}
		blank = strings.TrimSpace(line) == ""
		list = !blank && (list && strings.HasPrefix(line, " ") || strings.HasPrefix(line, "- ") || len(line) > 1 && line[0] >= '0' && line[0] <= '9') || blank && list
	}
	if open {
		faults = append(faults, file+": the last fence is not closed")
	}
	return blocks, faults
}

// unchecked is the reason why a block cannot be checked; "" = it can.
func (b docBlock) unchecked() string {
	_, runnable := runners[b.lang]
	switch {
	case b.skipped() != "", b.runs() && runnable, b.lang == "text" && b.how == "output":
		return ""
	case slices.Contains(shownLangs, b.lang) && b.how == "":
		return ""
	}
	return fmt.Sprintf("the fence %q says neither how it is run nor why not", strings.TrimSpace(b.lang+" "+b.how))
}

// outputMatches compares the output of a block with the document, ignoring white space; "…" matches anything.
func outputMatches(want, got string) bool {
	parts := strings.Split(strings.Join(strings.Fields(want), ""), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`^` + strings.Join(parts, `.*`) + `$`).MatchString(strings.Join(strings.Fields(got), ""))
}
