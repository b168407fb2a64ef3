package oci

import (
	"context"
	"log/slog"
)

// warnTo is where the warnings of the inside go on the command line: to the log that
// an engine asked for, like all else. Who uses the package as a library has them on
// slog's default logger.
type warnTo func(msg string)

func (w warnTo) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

func (w warnTo) Handle(_ context.Context, r slog.Record) error {
	w(r.Message)
	return nil
}

func (w warnTo) WithAttrs([]slog.Attr) slog.Handler { return w }
func (w warnTo) WithGroup(string) slog.Handler      { return w }
