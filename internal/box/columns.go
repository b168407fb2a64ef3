package box

import "fmt"

// columns folds one name a row into as many columns as the terminal holds.
func columns(rows [][]string, width int) [][]string {
	widest := 1
	for _, r := range rows {
		widest = max(widest, len(r[0])+2)
	}
	across := max(1, width/widest)
	down := (len(rows) + across - 1) / across
	out := make([][]string, down)
	for i, r := range rows {
		out[i%down] = append(out[i%down], r[0]+" ")
	}
	return out
}

// table prints rows with each column as wide as its widest cell; align holds
// l or r for each column, the last one repeats.
func (c *cmd) table(rows [][]string, align string) {
	var width []int
	for _, r := range rows {
		for i, s := range r {
			if i == len(width) {
				width = append(width, 0)
			}
			width[i] = max(width[i], len([]rune(s)))
		}
	}
	for _, r := range rows {
		for i, s := range r {
			switch {
			case align[min(i, len(align)-1)] == 'r':
				fmt.Fprintf(c.out, "%*s", width[i], s)
			case i == len(r)-1:
				fmt.Fprint(c.out, s)
			default:
				fmt.Fprintf(c.out, "%-*s", width[i], s)
			}
			if i < len(r)-1 {
				c.out.WriteByte(' ')
			}
		}
		c.out.WriteByte('\n')
	}
}
