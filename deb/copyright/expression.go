package copyright

import (
	"slices"
	"strings"
)

// Operators of SPDX's expressions.
const (
	opAnd = "AND"
	opOr  = "OR"
)

// An expr is a licence expression. Its terms are sorted, and each is an
// expression of its own: in parentheses if it has another operator. With one
// term there is no operator.
type expr struct {
	op    string
	terms []string
}

func leaf(term string) expr { return expr{terms: []string{term}} }

// join joins expressions, each once.
func join(op string, exprs ...expr) expr {
	out := expr{op: op}
	byTerm := make(map[string]expr, len(exprs))
	for _, e := range exprs {
		if e.op == op || e.op == "" {
			out.terms = append(out.terms, e.terms...)
			continue
		}
		term := "(" + e.String() + ")"
		byTerm[term] = e
		out.terms = append(out.terms, term)
	}
	slices.Sort(out.terms)
	out.terms = slices.Compact(out.terms)
	if len(out.terms) == 1 {
		if e, ok := byTerm[out.terms[0]]; ok {
			return e
		}
	}
	if len(out.terms) < 2 {
		out.op = ""
	}
	return out
}

func (e expr) String() string { return strings.Join(e.terms, " "+e.op+" ") }

const (
	// maxField bounds the names in a License field, in bytes. A longer one is a
	// text in the wrong place.
	maxField = 1024
	maxDepth = 16 // of parentheses
)

// field returns what the first line of a License field stands for.
func (n *naming) field(line string) expr {
	name := cleanName(line)
	if len(name) <= maxField {
		p := fieldParser{tokens: tokens(name)}
		if tree, ok := p.list(0); ok && len(p.tokens) == 0 {
			return n.expr(tree)
		}
	}
	return n.ref(refTo(name))
}

// expr gives the names in a field their meaning.
func (n *naming) expr(t tree) expr {
	if t.op == "" {
		if e := n.withException(t.name); len(e.terms) > 0 {
			return e
		}
		if e := n.license(t.name); len(e.terms) > 0 {
			return e
		}
		return n.ref(refTo(t.name))
	}
	var parts []expr
	for _, part := range t.parts {
		parts = append(parts, n.expr(part))
	}
	return join(t.op, parts...)
}

// A tree is a License field: a name, or parts joined by an operator.
type tree struct {
	op    string
	name  string
	parts []tree
}

func treeOf(op string, parts []tree) tree {
	if len(parts) == 1 {
		return parts[0]
	}
	return tree{op: op, parts: parts}
}

// tokens splits a field into words, the parentheses around them, and commas. A
// word may have parentheses inside.
func tokens(field string) []string {
	var out []string
	for _, word := range strings.Fields(field) {
		for strings.HasPrefix(word, "(") {
			out, word = append(out, "("), word[1:]
		}
		var after []string
		for {
			comma := strings.HasSuffix(word, ",")
			closes := strings.HasSuffix(word, ")") && strings.Count(word, ")") > strings.Count(word, "(")
			if !comma && !closes {
				break
			}
			after = append(after, word[len(word)-1:])
			word = word[:len(word)-1]
		}
		if word != "" {
			out = append(out, word)
		}
		slices.Reverse(after)
		out = append(out, after...)
	}
	return out
}

// A fieldParser parses a License field. Its methods report false for what is
// none.
type fieldParser struct{ tokens []string }

func (p *fieldParser) peek() string {
	if len(p.tokens) == 0 {
		return ""
	}
	return p.tokens[0]
}

// operator takes an operator, if one comes next.
func (p *fieldParser) operator() string {
	op := operator(p.peek())
	if op != "" {
		p.tokens = p.tokens[1:]
	}
	return op
}

func operator(word string) string {
	switch lower(word) {
	case "and", "and/or":
		return opAnd
	case "or":
		return opOr
	}
	return ""
}

// list parses what commas join. All that stand before an operator have the same
// one; those before none take the one that ends the enumeration: "A, B or C".
func (p *fieldParser) list(depth int) (tree, bool) {
	first, ok := p.or(depth)
	parts, op, bare := []tree{first}, "", false
	for ok && p.peek() == "," {
		p.tokens = p.tokens[1:]
		next := p.operator()
		if next == "" {
			bare = true
		} else if op != "" && op != next {
			return tree{}, false
		} else {
			op = next
		}
		var part tree
		part, ok = p.or(depth)
		parts = append(parts, part)
	}
	if !ok || !bare {
		return treeOf(op, parts), ok
	}
	return enumeration(op, parts)
}

// enumeration joins parts with bare commas between them. Only the last may have
// an operator, and no other than the one before it.
func enumeration(op string, parts []tree) (tree, bool) {
	last := parts[len(parts)-1]
	for _, part := range parts[:len(parts)-1] {
		if part.op != "" {
			return tree{}, false
		}
	}
	switch {
	case op == "":
		op = last.op
	case last.op != "" && last.op != op:
		return tree{}, false
	}
	for _, part := range last.parts {
		if part.op != "" {
			return tree{}, false
		}
	}
	if op == "" {
		op = opAnd
	}
	return tree{op: op, parts: parts}, true
}

func (p *fieldParser) or(depth int) (tree, bool) { return p.joined(opOr, depth, p.and) }

func (p *fieldParser) and(depth int) (tree, bool) { return p.joined(opAnd, depth, p.name) }

// joined parses what an operator joins.
func (p *fieldParser) joined(op string, depth int, next func(depth int) (tree, bool)) (tree, bool) {
	part, ok := next(depth)
	parts := []tree{part}
	for ok && operator(p.peek()) == op {
		p.operator()
		part, ok = next(depth)
		parts = append(parts, part)
	}
	return treeOf(op, parts), ok
}

// name parses a name, of several words if need be, or what is in parentheses.
func (p *fieldParser) name(depth int) (tree, bool) {
	if p.peek() == "(" {
		p.tokens = p.tokens[1:]
		if depth == maxDepth {
			return tree{}, false
		}
		inner, ok := p.list(depth + 1)
		if !ok || p.peek() != ")" {
			return tree{}, false
		}
		p.tokens = p.tokens[1:]
		return inner, true
	}
	var words []string
	for len(p.tokens) > 0 {
		word := p.tokens[0]
		if n := orLater(p.tokens); n > 0 && len(words) > 0 {
			words[len(words)-1] += "+"
			p.tokens = p.tokens[n:]
			continue
		}
		if operator(word) != "" || word == "," || word == "(" || word == ")" {
			break
		}
		words = append(words, word)
		p.tokens = p.tokens[1:]
	}
	name := strings.Join(words, " ")
	return tree{name: name}, name != "" && !isPartOfName(name)
}

// orLater returns how many words "or any later version" has, or a shorter form
// of it, at the beginning of tokens.
func orLater(tokens []string) int {
	n := 0
	take := func(words ...string) bool {
		if n < len(tokens) && slices.Contains(words, lower(tokens[n])) {
			n++
			return true
		}
		return false
	}
	if !take("or") {
		return 0
	}
	take("any")
	if !take("later", "newer", "higher", "greater") {
		return 0
	}
	take("version", "versions")
	return n
}

// isPartOfName reports whether an operator has cut an enumeration of exceptions
// apart: "GPL-2+ with Font and OpenSSL exceptions".
func isPartOfName(name string) bool {
	folded := lower(name)
	return strings.HasPrefix(folded, "with ") ||
		(strings.HasSuffix(folded, " exception") || strings.HasSuffix(folded, " exceptions")) && !withException.MatchString(name)
}
