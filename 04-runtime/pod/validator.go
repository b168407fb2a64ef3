package pod

import (
	"path"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// check adds an error unless ok.
func (v *validator) check(ok bool, at *field.Path, value any, detail string) {
	if !ok {
		v.errs = append(v.errs, field.Invalid(at, value, detail))
	}
}

func (v *validator) forbid(at *field.Path, detail string) {
	v.errs = append(v.errs, field.Forbidden(at, detail))
}

// text is required and of a form.
func (v *validator) text(at *field.Path, s string, form func(string) []string) {
	if s == "" {
		v.errs = append(v.errs, field.Required(at, ""))
		return
	}
	for _, detail := range form(s) {
		v.check(false, at, s, detail)
	}
}

func (v *validator) oneOf(at *field.Path, s string, all ...string) {
	if !slices.Contains(all, s) {
		v.errs = append(v.errs, field.NotSupported(at, s, all))
	}
}

func (v *validator) unique(seen map[string]bool, at *field.Path, s string) {
	if seen[s] {
		v.errs = append(v.errs, field.Duplicate(at, s))
	}
	seen[s] = true
}

// below is a relative path that stays below where it begins.
func (v *validator) below(at *field.Path, p string) {
	v.check(!path.IsAbs(p), at, p, "must be a relative path")
	v.check(!slices.Contains(strings.Split(p, "/"), ".."), at, p, "must not contain '..'")
}

// ids are what the kernel takes for users and groups.
func (v *validator) ids(at *field.Path, all ...*int64) {
	for _, id := range all {
		if id != nil {
			v.check(*id >= 0 && *id <= 1<<31-1, at, *id, "must be between 0 and 2147483647, inclusive")
		}
	}
}

func (v *validator) seccomp(at *field.Path, p *corev1.SeccompProfile) {
	if p == nil {
		return
	}
	v.oneOf(at.Child("type"), string(p.Type), "Localhost", "RuntimeDefault", "Unconfined")
	v.check((p.Type == corev1.SeccompProfileTypeLocalhost) == (p.LocalhostProfile != nil), at.Child("localhostProfile"), "", "must be set if, and only if, the type is Localhost")
	if p.LocalhostProfile != nil {
		v.below(at.Child("localhostProfile"), *p.LocalhostProfile)
	}
}

// setFields counts the pointers of a union that are set.
func setFields(union any) (n int) {
	for _, f := range reflect.ValueOf(union).Fields() {
		n += bit(!f.IsZero())
	}
	return n
}
