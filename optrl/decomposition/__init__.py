"""One problem cut into stages of time, joined by cuts on the value of what is left in stock."""
