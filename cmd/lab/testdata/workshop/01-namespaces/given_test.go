package namespaces

import (
	"os"
	"testing"

	"coracle/internal/check"
	"coracle/internal/exercise"
)

func TestGreet_Name(t *testing.T) {
	exercise.Need(t, "1.0")
	got, err := Greet("Ada")
	check.NoError(t, `Greet("Ada")`, err)
	check.Equal(t, `Greet("Ada")`, "hello, Ada", got, check.Often(got == "Ada", "the name alone is no greeting"))
}

func TestGreet_Nobody(t *testing.T) {
	exercise.Need(t, "1.0")
	_, err := Greet("")
	check.True(t, `Greet("")`, err != nil, "no error", "an error")
}

func TestAdd_Two(t *testing.T) {
	exercise.Need(t, "1.1")
	check.Equal(t, "Add(2, 3)", 5, Add(2, 3))
}

func TestAdd_Panics(t *testing.T) {
	exercise.Need(t, "1.1")
	check.Equal(t, "Add(-1, -1)", -2, Add(-1, -1))
}

func TestAdd_Machine(t *testing.T) {
	exercise.Need(t, "1.1")
	if os.Getenv("FIXTURE_MACHINE") == "" {
		t.Skip("machine cannot: be that machine; provide it with: FIXTURE_MACHINE=1")
	}
}
