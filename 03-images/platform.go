package images

import (
	"errors"
	"fmt"
	"runtime"
	"strings"

	v1 "github.com/opencontainers/image-spec/specs-go/v1"
)

// HostPlatform returns the platform that this program runs on.
func HostPlatform() v1.Platform {
	return normalize(v1.Platform{OS: runtime.GOOS, Architecture: runtime.GOARCH})
}

// ParsePlatform reads OS/ARCH[/VARIANT], or ARCH alone.
//
//	ParsePlatform("linux/arm/v7") → {linux, arm, v7}
func ParsePlatform(text string) (v1.Platform, error) {
	part := strings.Split(text, "/")
	if len(part) == 1 {
		part = []string{"linux", text}
	}
	p := v1.Platform{OS: part[0], Architecture: part[1]}
	if len(part) == 3 {
		p.Variant = part[2]
	}
	if len(part) > 3 || p.OS == "" || p.Architecture == "" || len(part) == 3 && p.Variant == "" {
		return p, errors.New("platform " + cut(text) + ": want OS/ARCH or OS/ARCH/VARIANT, such as linux/arm64")
	}
	return normalize(p), nil
}

// FormatPlatform is ParsePlatform backwards.
func FormatPlatform(p v1.Platform) string {
	text := p.OS + "/" + p.Architecture
	if p.Variant != "" {
		text += "/" + p.Variant
	}
	return text
}

// normalize gives a platform the one spelling that is compared: that of GOOS and
// GOARCH, and no variant where it is the usual one (containerd/platforms, database.go).
func normalize(p v1.Platform) v1.Platform {
	os, arch, variant := strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	switch arch {
	case "i386":
		arch, variant = "386", ""
	case "x86_64", "x86-64", "amd64":
		arch = "amd64"
		if variant == "v1" {
			variant = ""
		}
	case "aarch64", "arm64":
		arch = "arm64"
		if variant == "8" || variant == "v8" {
			variant = ""
		}
	case "armhf":
		arch, variant = "arm", "v7"
	case "armel":
		arch, variant = "arm", "v6"
	case "arm":
		switch variant {
		case "", "7":
			variant = "v7"
		case "5", "6", "8":
			variant = "v" + variant
		}
	}
	return v1.Platform{OS: os, Architecture: arch, Variant: variant, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures}
}

// runs lists the platforms whose programs a platform runs, its own first.
func runs(p v1.Platform) []v1.Platform {
	p = normalize(p)
	all := []v1.Platform{p}
	add := func(arch string, variants ...string) {
		for _, v := range variants {
			all = append(all, normalize(v1.Platform{OS: p.OS, Architecture: arch, Variant: v}))
		}
	}
	older := func(lowest int) (list []string) {
		var v int
		fmt.Sscanf(p.Variant, "v%d", &v)
		for v--; v >= lowest && v < 100; v-- {
			list = append(list, fmt.Sprintf("v%d", v))
		}
		return list
	}
	switch p.Architecture {
	case "amd64":
		add("amd64", older(1)...)
		add("386", "")
	case "arm":
		add("arm", older(5)...)
	case "arm64":
		add("arm64", older(8)...)
		add("arm", "v8", "v7", "v6", "v5")
	}
	return all
}
