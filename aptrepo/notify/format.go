package notify

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// The formats of what is posted.
const (
	// FormatAuto is that of Slack or Teams for their own hosts
	// (hooks.slack.com, *.webhook.office.com), else FormatJSON.
	FormatAuto = "auto"
	FormatJSON = "json" // the event as it is
	// Chats get one line of text.
	FormatSlack      = "slack"
	FormatMattermost = "mattermost"
	FormatTeams      = "teams" // an adaptive card, as "Workflows" take it
)

// body is what is posted of a delivery.
func (w Webhook) body(d Delivery) ([]byte, error) {
	switch format := w.format(); format {
	case FormatJSON:
		return d.Body, nil
	case FormatSlack:
		return json.Marshal(map[string]string{"text": slackText.Replace(d.Text)})
	case FormatMattermost:
		return json.Marshal(map[string]string{"text": mattermostText.Replace(d.Text)})
	case FormatTeams:
		return json.Marshal(card(d.Text))
	default:
		return nil, fmt.Errorf("unknown format %q of webhooks", format)
	}
}

func (w Webhook) format() string {
	if w.Format != FormatAuto && w.Format != "" {
		return w.Format
	}
	u, err := url.Parse(w.URL)
	if err != nil {
		return FormatJSON
	}
	switch host := strings.ToLower(u.Hostname()); {
	case slices.Contains([]string{"hooks.slack.com", "hooks.slack-gov.com"}, host):
		return FormatSlack
	case strings.HasSuffix(host, ".webhook.office.com"):
		return FormatTeams
	}
	return FormatJSON
}

// Texts quote what others wrote: it must neither call anybody by "@all", nor
// hide where a link leads, nor fetch a picture.
var (
	slackText      = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")
	mattermostText = strings.NewReplacer(append([]string{"@", "@\u200b"}, escaped("\\`*_[]()<>#!|~")...)...)
)

// escaped are replacements of characters by themselves behind a backslash.
func escaped(chars string) (pairs []string) {
	for _, c := range strings.Split(chars, "") {
		pairs = append(pairs, c, `\`+c)
	}
	return pairs
}

// card is an adaptive card whose text is not read as Markdown.
func card(text string) any {
	type object = map[string]any
	return object{
		"type": "message",
		"attachments": []object{{
			"contentType": "application/vnd.microsoft.card.adaptive",
			"content": object{
				"$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "type": "AdaptiveCard", "version": "1.2",
				"body": []object{{"type": "RichTextBlock", "inlines": []object{{"type": "TextRun", "text": text}}}},
			},
		}},
	}
}
